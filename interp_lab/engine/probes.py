# pyright: standard
"""How fast the lab's own reading of a model is on this machine, measured on small models of known arithmetic."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from interp_lab.contracts.machine import WorkTime
from interp_lab.engine.stream import StreamSettings, default_plan, stream
from interp_lab.machine.worktimes import work_time
from interp_lab.models.load import load_model
from interp_lab.models.resolve import ModelSource, locate_model
from interp_lab.points import Address

WIDTHS = (128, 512)
"""Widths of the probe models: between them lie small models, beyond them speed hardly changes."""
LENGTHS = (64, 256)
"""Tokens of a text: two, so that what attention takes can be told from what weights take."""
_LAYERS = 2
_TOKENS = 1024
_TOKENIZER = "builtin:pocket-gpt2"


def forward_times(width: int, folder: Path, *, device: str, seconds: float) -> Iterator[WorkTime]:
    """Yield what a token takes in a block of a random model of that width; its files are made in `folder`.

    Raises:
        LabError: as `load_model` and `stream`.
    """
    loaded = load_model(ModelSource("local", f"probe-{width}", _random_model(width, folder)), device=device)
    last = Address("resid_post", _LAYERS - 1)
    generator = torch.Generator().manual_seed(0)
    settings = StreamSettings(batch_size=_TOKENS, buffer_rows=0)
    plan = default_plan(loaded, [last])
    for length in LENGTHS:
        texts = torch.randint(3, loaded.facts.n_vocab or 4, (_TOKENS // length, length), generator=generator).tolist()

        def read(texts: list[list[int]] = texts) -> None:
            for batch in stream(loaded, texts, [last], settings, plan=plan):
                float(batch[last][0, 0])  # waits for an accelerator

        share = seconds / len(LENGTHS)
        yield work_time("forward", (width, length), read, device=device, seconds=share, per=_TOKENS * _LAYERS)


def _random_model(width: int, folder: Path) -> Path:
    """Make a GPT-2 of that width with random weights and the tokenizer of a packaged model."""
    source = locate_model(_TOKENIZER)
    assert source is not None
    n_vocab = json.loads((source.directory / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config = GPT2Config(
        vocab_size=n_vocab,
        n_positions=2 * max(LENGTHS),
        n_embd=width,
        n_layer=_LAYERS,
        n_head=width // 64,
        bos_token_id=0,
        eos_token_id=1,
    )
    place = folder / f"probe-{width}"
    place.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source.directory / name, place / name)
    return place
