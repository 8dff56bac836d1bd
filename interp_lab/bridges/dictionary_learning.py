"""Dictionaries of saprmarks/dictionary_learning: config.json beside ae.pt (read as data) or ae.safetensors.

Source: dictionary_learning 0.1 (`AutoEncoder`, `GatedAutoEncoder`, `AutoEncoderTopK`, `BatchTopKSAE`,
`MatryoshkaBatchTopKSAE`, `JumpReluAutoEncoder`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.bridges.tensor_files import read_safetensors
from interp_lab.bridges.torch_archive import read_state_dict
from interp_lab.contracts.dictionaries import ArchitectureName
from interp_lab.dictionaries.formats.parts import Parts, Tensors, matrix, parts, read_object, taken
from interp_lab.errors import InvalidDictionary, UnsupportedDictionary

CONFIG, WEIGHTS, SAFE_WEIGHTS = "config.json", "ae.pt", "ae.safetensors"
_POINTS: Final = {"resid_post": "resid_post", "mlp_out": "mlp_out", "attention_out": "attn_out", "attn_out": "attn_out"}


class _Form(NamedTuple):
    architecture: ArchitectureName
    convert: Callable[[Tensors, str], dict[str, NDArray[Any]]]
    takes_b_dec_off: bool


def read(folder: Path) -> Parts:
    """Return the dictionary in a dictionary_learning folder.

    Raises:
        InvalidDictionary: A file or tensor is missing or does not fit.
        UnsupportedDictionary: Its class is not one that can be computed here.
        UnsafeWeights: ae.pt is more than a description of tensors.
    """
    told = read_object(folder / CONFIG).get("trainer")
    if not isinstance(told, dict):
        raise InvalidDictionary(f"{CONFIG} of {folder.name} has no trainer.")
    trainer = cast("dict[str, Any]", told)
    name = str(trainer.get("dict_class", "AutoEncoder"))
    form = _FORMS.get(name)
    if form is None:
        raise UnsupportedDictionary(f"{folder.name} is a {name[:60]!r} of dictionary_learning.")
    safe = folder / SAFE_WEIGHTS
    tensors = read_safetensors(safe) if safe.is_file() else _archive(folder / WEIGHTS)
    kept = form.convert(tensors, folder.name)
    k = _number(trainer.get("k", tensors.get("k")), folder.name)
    fields = {
        "architecture": form.architecture,
        "d_in": kept["W_enc"].shape[0],
        "d_out": kept["W_enc"].shape[0],
        "n_latents": kept["W_enc"].shape[1],
        "k": int(k) if form.architecture == "topk" and k is not None else None,
        "apply_b_dec_to_input": form.takes_b_dec_off,
        "addresses_in": _address(trainer),
        "models": (trainer["lm_name"],) if trainer.get("lm_name") else (),
    }
    return parts(fields, kept, where=folder.name)


def _archive(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise InvalidDictionary(f"{path.parent.name} has neither {WEIGHTS} nor {SAFE_WEIGHTS}.")
    return read_state_dict(path)


def _address(trainer: Mapping[str, Any]) -> tuple[str, ...]:
    point = str(trainer.get("submodule_name") or "").partition("_layer")[0]
    layer = trainer.get("layer")
    return (f"{_POINTS[point]}.{layer}",) if point in _POINTS and isinstance(layer, int) else ()


def _number(value: Any, where: str) -> float | None:
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InvalidDictionary(f"{where} names {str(value)[:40]!r} where a number belongs.") from error
    if number is not None and not math.isfinite(number):
        raise InvalidDictionary(f"{where} names {number} where a finite number belongs.")
    return number


def _linear(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    return {
        "W_enc": matrix(tensors, "encoder.weight", where=where).T,
        "W_dec": matrix(tensors, "decoder.weight", where=where).T,
    }


def _relu(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    b_enc, b_dec = taken(tensors, "encoder.bias", where=where), taken(tensors, "bias", where=where)
    return _linear(tensors, where) | {"b_enc": b_enc, "b_dec": b_dec}


def _gated(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    names = {"b_gate": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag", "b_dec": "decoder_bias"}
    return _linear(tensors, where) | {ours: taken(tensors, theirs, where=where) for ours, theirs in names.items()}


def _topk(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    b_enc, b_dec = taken(tensors, "encoder.bias", where=where), taken(tensors, "b_dec", where=where)
    return _linear(tensors, where) | {"b_enc": b_enc, "b_dec": b_dec}


def _by_threshold(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    """Convert a dictionary with one threshold for all latents, which a trained one has."""
    found = _topk(tensors, where)
    return found | {"threshold": _spread(tensors, found["b_enc"], where)}


def _matryoshka(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    found = {name: taken(tensors, name, where=where) for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    return found | {"threshold": _spread(tensors, found["b_enc"], where)}


def _spread(tensors: Tensors, like: NDArray[Any], where: str) -> NDArray[Any]:
    threshold = _number(taken(tensors, "threshold", where=where), where) or 0.0
    if threshold < 0:
        raise InvalidDictionary(
            f"{where} has no threshold yet (it is {threshold}): it was saved before it was trained."
        )
    return np.full(like.shape, threshold, dtype=np.float32)


def _jumprelu(tensors: Tensors, where: str) -> dict[str, NDArray[Any]]:
    names = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
    return {name: taken(tensors, name, where=where) for name in names}


_FORMS: Final[Mapping[str, _Form]] = {
    "AutoEncoder": _Form("relu", _relu, takes_b_dec_off=True),
    "GatedAutoEncoder": _Form("gated", _gated, takes_b_dec_off=True),
    "AutoEncoderTopK": _Form("topk", _topk, takes_b_dec_off=True),
    "BatchTopKSAE": _Form("jumprelu", _by_threshold, takes_b_dec_off=True),
    "MatryoshkaBatchTopKSAE": _Form("jumprelu", _matryoshka, takes_b_dec_off=True),
    "JumpReluAutoEncoder": _Form("jumprelu", _jumprelu, takes_b_dec_off=False),
}
