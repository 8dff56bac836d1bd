"""Dictionaries in the JSON of format interp-lab.sae.v1: lists of numbers, one row per latent.

It encodes f(W (x - mean) + b) and reconstructs codes times decoder plus mean; its layers count hidden states, so
layer 0 is the embedding and layer n+1 the output of block n.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.dictionaries import ArchitectureName
from interp_lab.dictionaries.formats.parts import Parts, parts
from interp_lab.errors import InvalidDictionary, UnsupportedDictionary

FILE: Final = "sae.json"
FORMAT: Final = "interp-lab.sae.v1"
MAX_BYTES: Final = 2 * 2**30
_ARCHITECTURES: Final[dict[str, ArchitectureName]] = {"relu-l1": "relu", "topk": "topk", "jumprelu": "jumprelu"}
_UNTRAINED: Final = "It was not trained: its directions are single dimensions and random vectors."
_LAST_LAYER: Final = (
    "Its layer counts hidden states: were it the last, it would be the final norm's output, not this address."
)


def read(folder: Path) -> Parts:
    """Return the dictionary in a folder with sae.json.

    Raises:
        InvalidDictionary: It is not of that format, or its numbers do not fit together.
        UnsupportedDictionary: Its sparsity is of an unknown kind.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            told = read_json(file, where=path.name, max_bytes=MAX_BYTES)
    except OSError as error:
        raise InvalidDictionary(f"{path.name} cannot be read: {error.strerror}.") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InvalidDictionary(f"{path.name} is not of format {FORMAT}.")
    sae = cast("dict[str, Any]", told)
    told_config = sae.get("config")
    config = cast("dict[str, Any]", told_config if isinstance(told_config, dict) else {})
    architecture = _ARCHITECTURES.get(str(config.get("sparsity", "relu-l1")))
    if architecture is None:
        raise UnsupportedDictionary(f"{path.name} has the sparsity {str(config['sparsity'])[:40]!r}.")
    decoder = _array(sae, "decoder_weight", 2)
    kept = {
        "W_enc": _array(sae, "encoder_weight", 2).T,
        "b_enc": _array(sae, "encoder_bias", 1),
        "W_dec": decoder,
        "b_dec": _array(sae, "mean", 1),
    }
    if architecture == "jumprelu":
        kept["threshold"] = np.full(len(decoder), _array(config, "jump_threshold", 0), dtype=np.float32)
    place, notes = _place(sae)
    fields = {
        "architecture": architecture,
        "d_in": decoder.shape[1],
        "d_out": decoder.shape[1],
        "n_latents": decoder.shape[0],
        "k": config.get("top_k") if architecture == "topk" else None,
        "addresses_in": place,
        "models": (sae["model"],) if isinstance(sae.get("model"), str) and sae["model"] else (),
        "seed": config.get("seed") if isinstance(config.get("seed"), int) else None,
    }
    return parts(fields, kept, where=folder.name, notes=notes)


def _array(sae: dict[str, Any], name: str, n_dimensions: int) -> NDArray[np.float32]:
    try:
        value = np.asarray(sae.get(name) or (0.0 if n_dimensions == 0 else None), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidDictionary(f"{name} of {FILE} is not a table of numbers.") from error
    if value.ndim != n_dimensions:
        raise InvalidDictionary(f"{name} of {FILE} has {value.ndim} dimensions instead of {n_dimensions}.")
    return value


def _place(sae: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return where it reads, if it says so, and what a user of it must know."""
    notes = (_UNTRAINED,) if sae.get("method") == "fallback-dictionary" else ()
    layer = sae.get("layer")
    if not isinstance(layer, int):
        return (), notes
    return (("resid_pre.0",) if layer == 0 else (f"resid_post.{layer - 1}",)), (*notes, _LAST_LAYER)
