# pyright: standard
"""How long steps of dictionary training take on this machine, measured on random activations."""

from __future__ import annotations

import torch

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, TrainingConfig
from interp_lab.contracts.machine import WorkTime
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.machine.worktimes import work_time

SHAPES = ((128, 1024), (128, 8192), (512, 1024), (512, 8192))
"""Inputs and latents of the probes: corners, between which times are interpolated. The weights, gradients and moments
of the largest do not fit into the caches of most processors."""
DENSE_SHAPES = ((128, 1024), (512, 4096))
"""The same for architectures whose penalty begins dense."""
PROBE_K = 32
PROBE_BATCH = 1024
"""Tokens of a step, as the preset of a ready call has it."""


def step_time(
    d_in: int, n_latents: int, *, device: str, seconds: float, architecture: ArchitectureName = "topk"
) -> tuple[WorkTime, Trainer]:
    """Return the time of a training step and the trainer that was timed; relu, without a penalty, stays dense."""
    dense = architecture == "relu"
    config = DictionaryConfig(
        architecture=architecture,
        d_in=d_in,
        d_out=d_in,
        n_latents=n_latents,
        k=None if dense else PROBE_K,
        seed=0,
    )
    training = TrainingConfig(batch_tokens=PROBE_BATCH, sparsity_coefficient=0.0)
    trainer = Trainer(config, training, device=device)
    rows = torch.randn(PROBE_BATCH, d_in, generator=torch.Generator().manual_seed(0))
    name = "train_dense" if dense else "train_step"
    timed = work_time(
        name, (d_in, n_latents), lambda: trainer.step(rows).loss, device=device, seconds=seconds
    )  # the loss is a number: an accelerator has finished
    return timed, trainer
