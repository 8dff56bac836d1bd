"""A trained model as a plain Hugging Face folder: float16 weights that load as float32, tokenizer, card and licence."""
# pyright: standard

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save as serialise
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from interp_lab.pocket import tokenizer as tokenizers
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import Recipe
from interp_lab.pocket.record import Record

WEIGHTS = Path(__file__).parent / "weights"
"""Where the committed models lie, one folder each."""

RECORD = "measured.json"
"""The file beside the weights that holds what was measured."""

_LICENCE = """MIT License, the licence of this repository, covers these weights.

They were trained by the recipe in interp_lab/pocket on text written by the generators in interp_lab/corpus and on the
source of the Python standard library (Python Software Foundation License, which the text keeps; no file of it is here).
"""


def record_of(name: str) -> Record:
    """What was measured of a committed model."""
    return Record.model_validate_json((WEIGHTS / name / RECORD).read_text(encoding="utf-8"))


def rounded(model: PreTrainedModel, recipe: Recipe, size: tuple[int, int]) -> PreTrainedModel:
    """The model as it will be loaded: float32 numbers that float16 can hold, in the library's own modules."""
    fresh = build(recipe, *size)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fresh.get_parameter(name).copy_(parameter.cpu().half().float())
    return fresh.eval()


def write(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write weights, configuration, tokenizer and licence note; the card is written with the measurements."""
    folder.mkdir(parents=True, exist_ok=True)
    # parameters, not the state: a tied output matrix is written once
    weights = {name: parameter.detach().half().contiguous() for name, parameter in model.named_parameters()}
    (folder / "model.safetensors").write_bytes(serialise(weights, metadata={"format": "pt"}))
    config = model.config.to_diff_dict() | {"architectures": [type(model).__name__], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizers.save(tokenizer, folder)
    (folder / "LICENSE").write_text(_LICENCE, encoding="utf-8")
