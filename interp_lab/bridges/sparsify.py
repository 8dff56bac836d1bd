"""Dictionaries of EleutherAI's sparsify: cfg.json and sae.safetensors in a folder named after the hook point.

Source: sparsify 1.3 (`SparseCoder`): latents are the largest k of relu(W (x - b_dec) + b), or of relu(W x + b) when
it transcodes; a skip connection adds W_skip x.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from interp_lab.bridges.tensor_files import read_safetensors
from interp_lab.dictionaries.formats.parts import Parts, matrix, parts, read_object, taken
from interp_lab.errors import InvalidDictionary, UnsupportedDictionary

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
_HOOK_POINT = re.compile(r"(?:.*\.)?(?:layers|h|blocks)\.(\d+)(?:\.(mlp|attn|self_attn|attention))?")


def read(folder: Path) -> Parts:
    """Return the dictionary in a sparsify folder.

    Raises:
        InvalidDictionary: A file or tensor is missing or does not fit.
        UnsupportedDictionary: Its activation is not TopK.
    """
    cfg = read_object(folder / CONFIG)
    tensors = read_safetensors(folder / WEIGHTS)
    where = folder.name
    if cfg.get("activation", "topk") != "topk":
        raise UnsupportedDictionary(f"{where} uses the activation {str(cfg['activation'])[:40]!r} of sparsify.")
    encoder = matrix(tensors, "encoder.weight", where=where)
    kept = {
        "W_enc": encoder.T,
        "b_enc": taken(tensors, "encoder.bias", where=where),
        "W_dec": taken(tensors, "W_dec", where=where),
        "b_dec": taken(tensors, "b_dec", where=where),
    }
    if cfg.get("skip_connection"):
        kept["W_skip"] = taken(tensors, "W_skip", where=where)
    if not isinstance(cfg.get("k"), int):
        raise InvalidDictionary(f"{CONFIG} of {where} names no k.")
    fields = _form(cfg, where) | {
        "architecture": "topk",
        "d_in": encoder.shape[1],
        "n_latents": encoder.shape[0],
        "d_out": kept["W_dec"].shape[-1],
        "k": cfg["k"],
    }
    return parts(fields, kept, where=where)


def _form(cfg: dict[str, Any], where: str) -> dict[str, Any]:
    here, module = _address(where)
    if not cfg.get("transcode"):
        return {"kind": "sae", "addresses_in": here}
    source = (f"mlp_in.{here[0].rpartition('.')[2]}",) if module == "mlp" else ()
    return {
        "kind": "transcoder",
        "skip": bool(cfg.get("skip_connection")),
        "apply_b_dec_to_input": False,
        "addresses_in": source,
        "addresses_out": here if source else (),
    }


def _address(name: str) -> tuple[tuple[str, ...], str]:
    """Return the address of a hook point that sparsify names by module, and the module's kind."""
    found = _HOOK_POINT.fullmatch(name)
    if found is None:
        return (), ""
    module = "mlp" if found[2] == "mlp" else "attn" if found[2] else "block"
    point = {"mlp": "mlp_out", "attn": "attn_out", "block": "resid_post"}[module]
    return (f"{point}.{found[1]}",), module
