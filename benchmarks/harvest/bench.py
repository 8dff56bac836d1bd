"""Measure how fast activations of one layer can be had: this engine beside the libraries in use, same model, same text.

`python benchmarks/harvest/bench.py [pocket-gpt2] [gpt2-shape]` prints tokens per CPU second on one thread for the
trained model in the box and for one of the shape of GPT-2 with random weights; the last line is one JSON object. Every
method's tensors are compared with those of plain Hugging Face before it is timed. The hook is after the middle block.
Contexts are 128 tokens; the short prompts have the lengths of a log-normal draw. Methods read as many tokens as their
speed allows: what is compared are rates.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from readers import (
    hf_hidden_states,
    hf_no_head,
    json_export,
    lens_model,
    nnsight,
    our_stream,
    ours,
    sae_lens_store,
    transformer_lens,
)
from subject import BATCH, BUFFER, CONTEXT, SHAPES, TRAIN_BATCH, Read, Shape, Subject
from torch import Tensor

from interp_lab.engine.attention import product_attention
from interp_lab.engine.fused import fused_activations
from interp_lab.engine.precision import matmul_precision
from interp_lab.engine.stream import default_plan
from interp_lab.engine.sweep import PassPlan, sweep

RESULTS = Path(__file__).parents[1] / "results" / "harvest.json"
"""Kept figures: those of the last run of both models."""
TOLERANCE = {"exact": 1e-5, "bf16": 3e-2}
ROUNDS = 2
TARGETS = {
    "pocket-gpt2": {"hf_hidden_states": 10.0, "sae_lens_store": 2.5, "sae_lens_store_bf16": 6.0, "short_padded": 3.5},
    "gpt2-shape": {"hf_hidden_states": 4.5, "sae_lens_store": 2.5, "sae_lens_store_bf16": 6.0, "short_padded": 3.5},
}


def rate(read: Read, ids: Tensor) -> float:
    """Tokens per CPU second."""
    start = time.process_time()
    read(ids)
    return ids.numel() / (time.process_time() - start)


def steady_rates(starts: dict[str, Callable[[], Iterator[Tensor]]], n_batches: int) -> dict[str, float]:
    """Tokens per CPU second of loaders, the first filling of their buffers not counted; rounds are interleaved."""
    loaders = {name: start() for name, start in starts.items()}
    for loader in loaders.values():
        for _ in range(5):  # sae-lens serves half a buffer at once, so this ends where it has to read again
            next(loader)
    found = dict.fromkeys(loaders, 0.0)
    for _, (name, loader) in itertools.product(range(ROUNDS), loaders.items()):
        start = time.process_time()
        n_rows = sum(len(next(loader)) for _ in range(n_batches))
        found[name] = max(found[name], n_rows / (time.process_time() - start))
    return found


def short_rates(subject: Subject) -> dict[str, float]:
    """Short prompts: packed by us, and padded in the order in which they came, 32 at a time, without the head."""
    lengths = [len(text) for text in subject.short]
    plan = default_plan(subject.loaded, [subject.address])
    base: Any = subject.loaded.model.base_model

    def padded() -> list[Tensor]:
        found: list[Tensor] = []
        for start in range(0, len(lengths), 32):
            part = subject.short[start : start + 32]
            width = max(map(len, part))
            ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in part])
            mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in part])
            with torch.no_grad():
                output = base(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
            state = output.hidden_states[subject.layer + 1]
            found += [row[: len(text)] for row, text in zip(state, part, strict=True)]
        return found

    def sweeps(chosen: PassPlan) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        with matmul_precision(), fused_activations(subject.loaded), product_attention(subject.loaded):
            for swept in sweep(subject.loaded, subject.short, [subject.address], chosen):
                parts = swept.values[subject.address].split([lengths[i] for i in swept.pieces])
                found |= dict(zip(swept.pieces, parts, strict=True))
        return [found[i] for i in range(len(lengths))]

    methods = {
        "short_padded": padded,
        "short_by_length": lambda: sweeps(PassPlan(plan.token_budget, None)),
        "short_packed": lambda: sweeps(plan),
    }
    expected = torch.cat(padded())
    for name, method in methods.items():
        _require_equal(name, torch.cat(method()), expected, TOLERANCE["exact"])
    return {name: max(_calls(method, sum(lengths)) for _ in range(ROUNDS)) for name, method in methods.items()}


def _calls(method: Callable[[], object], n_tokens: int) -> float:
    start = time.process_time()
    method()
    return n_tokens / (time.process_time() - start)


def _require_equal(name: str, found: Tensor, expected: Tensor, tolerance: float) -> float:
    error = float((found.float() - expected).abs().max() / expected.abs().max())
    if error > tolerance:
        raise SystemExit(f"{name} does not give the same activations: relative error {error:.1e}")
    return error


def measure(shape: Shape, folder: Path) -> dict[str, float]:
    """Tokens per CPU second by method, every one of them checked first; rounds are interleaved."""
    subject = Subject(shape, folder)
    lens = lens_model(subject)
    reads: dict[str, Read] = {
        "hf_hidden_states": hf_hidden_states(subject),
        "hf_no_head": hf_no_head(subject),
        "json_export": json_export(subject),
        "transformer_lens_stop": transformer_lens(subject, lens),
        "nnsight_stop": nnsight(subject),
        "ours": ours(subject.loaded, subject.address),
        "ours_bf16": ours(subject.half, subject.address),
    }
    probe = subject.texts(BATCH * CONTEXT)
    expected = reads["hf_hidden_states"](probe)
    for name, read in reads.items():
        _require_equal(name, read(probe), expected, TOLERANCE["bf16" if name.endswith("bf16") else "exact"])
    found = dict.fromkeys(reads, 0.0)
    for _, name in itertools.product(range(ROUNDS), reads):
        n_tokens = shape.n_tokens if name.startswith("ours") else max(BATCH * CONTEXT, shape.n_tokens // 4)
        found[name] = max(found[name], rate(reads[name], subject.texts(n_tokens)))
    loaders = {
        "sae_lens_store": sae_lens_store(subject, lens),
        "sae_lens_store_autocast": sae_lens_store(subject, lens, autocast=True),
        "ours_stream": our_stream(subject, subject.loaded),
        "ours_stream_bf16": our_stream(subject, subject.half),
    }
    # one refill of sae-lens' buffer is half of it: fewer batches would time either many refills or none
    n_batches = BUFFER // 2 // TRAIN_BATCH * max(1, shape.n_tokens // BUFFER)
    return found | steady_rates(loaders, n_batches) | short_rates(subject)


def ratios(found: dict[str, float]) -> dict[str, float]:
    """How many times as fast we are, like compared with like."""
    return {
        "hf_hidden_states": found["ours"] / found["hf_hidden_states"],
        "hf_no_head": found["ours"] / found["hf_no_head"],
        "json_export": found["ours"] / found["json_export"],
        "transformer_lens_stop": found["ours"] / found["transformer_lens_stop"],
        "nnsight_stop": found["ours"] / found["nnsight_stop"],
        "sae_lens_store": found["ours_stream"] / found["sae_lens_store"],
        "sae_lens_store_bf16": found["ours_stream_bf16"] / found["sae_lens_store"],
        "sae_lens_store_autocast_bf16": found["ours_stream_bf16"] / found["sae_lens_store_autocast"],
        "short_padded": found["short_packed"] / found["short_padded"],
    }


def main(names: Sequence[str]) -> int:
    """Return 0 if the targets are met; what is not equal ends the run before."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # what other libraries say about each other is not about the figures
    report: dict[str, Any] = {"bench": "harvest", "equal": True, "ratios": {}, "figures": {}, "missed": []}
    for shape in SHAPES:
        if names and shape.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(shape, Path(folder))
        compared = ratios(found)
        for name, value in found.items():
            print(f"{shape.name:10} {name:22} {value:9.0f} tokens per CPU second")
        for name, value in compared.items():
            report["ratios"][f"{name}/{shape.name}"] = round(value, 2)
            if value < (least := TARGETS[shape.name].get(name, 0.0)):
                report["missed"].append(f"{name}/{shape.name} {value:.2f} < {least:g}")
        report["figures"][shape.name] = {name: round(value, 1) for name, value in found.items()}
    report["targets_met"] = not report["missed"]
    print(json.dumps(report))
    if not names:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["targets_met"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
