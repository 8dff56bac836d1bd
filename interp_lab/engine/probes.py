# pyright: standard
"""How fast the lab's own reading of a model is on this machine, measured on small models of known arithmetic."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from interp_lab.contracts.machine import MeasuredRate
from interp_lab.engine.stream import StreamSettings, default_plan, stream
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.rates import macs_per_token
from interp_lab.models.resolve import ModelSource, locate_model
from interp_lab.points import Address

WIDTHS = (128, 512)
"""Widths of the probe models: between them lie small models, beyond them speed hardly changes."""
_LAYERS = 2
_TEXTS = 16
_TEXT_TOKENS = 64
_LEAST_REPEATS = 3
_TOKENIZER = "builtin:pocket-gpt2"


def forward_rate(width: int, folder: Path, *, device: str, seconds: float) -> MeasuredRate:
    """Return the rate at which activations of a random model of that width are read; its files are made in `folder`.

    Raises:
        LabError: as `load_model` and `stream`.
    """
    loaded = load_model(ModelSource("local", f"probe-{width}", _random_model(width, folder)), device=device)
    last = Address("resid_post", _LAYERS - 1)
    macs = macs_per_token(loaded.facts, _LAYERS - 1) or 0
    flops = _TEXTS * _TEXT_TOKENS * (2 * macs + 2 * _LAYERS * _TEXT_TOKENS * width)
    times = _times(loaded, last, seconds)
    return MeasuredRate(
        what="forward",
        device=device,
        value=flops / 1e9 / statistics.median(times),
        unit="GFLOP/s",
        size=width,
        repeats=len(times),
        spread=max(times) / min(times) - 1,
    )


def _times(loaded: LoadedModel, address: Address, seconds: float) -> list[float]:
    """Seconds of each reading of all texts; the first, which pays for setting up, is left out."""
    generator = torch.Generator().manual_seed(0)
    n_vocab = loaded.facts.n_vocab or 2
    texts = torch.randint(3, n_vocab, (_TEXTS, _TEXT_TOKENS), generator=generator).tolist()
    settings = StreamSettings(batch_size=_TEXTS * _TEXT_TOKENS, buffer_rows=0)
    plan = default_plan(loaded, [address])
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) <= _LEAST_REPEATS or time.perf_counter() < deadline:
        start = time.perf_counter()
        for batch in stream(loaded, texts, [address], settings, plan=plan):
            float(batch[address][0, 0])  # waits for an accelerator
        times.append(max(time.perf_counter() - start, 1e-9))
    return times[1:]


def _random_model(width: int, folder: Path) -> Path:
    """Make a GPT-2 of that width with random weights and the tokenizer of a packaged model."""
    source = locate_model(_TOKENIZER)
    assert source is not None
    n_vocab = json.loads((source.directory / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config = GPT2Config(
        vocab_size=n_vocab,
        n_positions=2 * _TEXT_TOKENS,
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
