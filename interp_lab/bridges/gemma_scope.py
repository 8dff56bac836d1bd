"""Gemma Scope dictionaries: params.npz (Gemma 2), or config.json and params.safetensors (Gemma 3).

Source: Lieberum et al. 2024 ("Gemma Scope"); all are JumpReLU and take nothing off their input.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from interp_lab.bridges.tensor_files import read_npz, read_safetensors
from interp_lab.dictionaries.formats.parts import Parts, Tensors, matrix, parts, read_object, taken
from interp_lab.errors import UnsupportedDictionary

NPZ, SAFE, CONFIG = "params.npz", "params.safetensors", "config.json"
_LAYER: Final = re.compile(r"layer_(\d+)(?:[_/]|$)")
_TRANSCODERS: Final = re.compile(r"(?:skip_)?transcoders?(?:_\w+)?|.*gemma-scope.*transcoder.*")
"""Names of the published repositories and of the folders in them; not of whatever folder the files were put into."""
_POINTS: Final = {"res": "resid_post", "mlp": "mlp_out", "att": "z", "resid_post": "resid_post", "mlp_out": "mlp_out"}


def read(folder: Path) -> Parts:
    """Return the dictionary in a Gemma Scope folder of the first kind.

    Raises:
        InvalidDictionary: A file or tensor is missing or does not fit.
    """
    return _parts(read_npz(folder / NPZ), folder, {name: name for name in _NAMES}, transcoder=_says_transcoder(folder))


def read_second(folder: Path) -> Parts:
    """Return the dictionary in a Gemma Scope 2 folder.

    Raises:
        InvalidDictionary: A file or tensor is missing or does not fit.
        UnsupportedDictionary: It is not JumpReLU.
    """
    config = read_object(folder / CONFIG)
    if str(config.get("architecture", "jump_relu")) != "jump_relu":
        raise UnsupportedDictionary(f"{folder.name} has the architecture {str(config['architecture'])[:40]!r}.")
    names = {name: name.replace("W_", "w_") for name in _NAMES}
    tensors = read_safetensors(folder / SAFE)
    read_from, written_to = (config.get(f"hf_hook_point_{side}") for side in ("in", "out"))
    transcoder = _says_transcoder(folder) or (written_to is not None and read_from != written_to)
    return _parts(tensors, folder, names, transcoder=transcoder, model=config.get("model_name"))


_NAMES: Final = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")


def _parts(tensors: Tensors, folder: Path, names: dict[str, str], *, transcoder: bool, model: object = None) -> Parts:
    where = folder.name
    kept = {ours: taken(tensors, theirs, where=where) for ours, theirs in names.items()}
    encoder = matrix(kept, "W_enc", where=where)
    fields: dict[str, Any] = {
        "kind": "transcoder" if transcoder else "sae",
        "architecture": "jumprelu",
        "d_in": encoder.shape[0],
        "n_latents": encoder.shape[1],
        "d_out": kept["b_dec"].shape[-1],
        "apply_b_dec_to_input": False,
        "addresses_in": () if transcoder else _address(folder),
        "models": (model,) if isinstance(model, str) and model else (),
    }
    if "affine_skip_connection" in tensors:
        kept["W_skip"] = matrix(tensors, "affine_skip_connection", where=where).T
        fields["skip"] = True
    return parts(fields, kept, where=where)


def _says_transcoder(folder: Path) -> bool:
    return any(_TRANSCODERS.fullmatch(part) for part in folder.parts[-6:])


def _address(folder: Path) -> tuple[str, ...]:
    """Return the place that the path of a file in one of the published repositories implies, if it does."""
    path = "/".join(folder.parts[-8:])
    layer = _LAYER.search(path)
    point = next((point for name, point in _POINTS.items() if re.search(rf"(?:-|/){name}(?:/|$)", path)), None)
    return (f"{point}.{layer[1]}",) if layer and point else ()
