# pyright: standard
"""How fast the lab trains dictionaries on this machine, measured on random activations."""

from __future__ import annotations

import statistics
import time

import torch

from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
from interp_lab.contracts.machine import MeasuredRate
from interp_lab.dictionaries.training.trainer import Trainer

SHAPES = ((128, 1024), (512, 4096))
"""Inputs and latents of the probes."""
_K = 32
_BATCH = 2048
_LEAST_REPEATS = 3


def training_rate(d_in: int, n_latents: int, *, device: str, seconds: float) -> MeasuredRate:
    """Return the rate of training steps of a TopK dictionary, its one dense product counted as in `plan_scale`."""
    config = DictionaryConfig(kind="sae", architecture="topk", d_in=d_in, d_out=d_in, n_latents=n_latents, k=_K, seed=0)
    trainer = Trainer(config, TrainingConfig(batch_tokens=_BATCH), device=device)
    rows = torch.randn(_BATCH, d_in, generator=torch.Generator().manual_seed(0))
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) <= _LEAST_REPEATS or time.perf_counter() < deadline:
        start = time.perf_counter()
        trainer.step(rows)
        times.append(max(time.perf_counter() - start, 1e-9))
    flops = _BATCH * (2 * d_in * n_latents + 8 * _K * d_in)
    return MeasuredRate(
        what="train_sae",
        device=device,
        value=flops / 1e9 / statistics.median(times[1:]),
        unit="GFLOP/s",
        size=d_in * n_latents,
        repeats=len(times) - 1,
        spread=max(times[1:]) / min(times[1:]) - 1,
    )
