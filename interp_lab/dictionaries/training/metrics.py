# pyright: standard
"""What a step reports, and how a dictionary does on tokens that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.errors import TrainingSourceUnfit

Block = Tensor | tuple[Tensor, Tensor]
"""Activations `(rows, d_in)`, or a pair with what is to be reconstructed `(rows, d_out)`."""


class StepMetrics(NamedTuple):
    """Figures of one step, measured on its batch before the weights moved."""

    step: int
    """Counted from 1."""
    tokens: int
    """Trained on so far, this batch included."""
    loss: float
    """All that is minimised."""
    error: float
    """Squared error per token in training units, summed over coordinates."""
    penalty: float
    revival: float
    fvu: float
    """Fraction of the batch's variance unexplained."""
    l0: float
    """Active latents per token."""
    dead_fraction: float
    """Share of latents that did not fire in the window."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    path: str
    """'sparse', or 'dense' while very many latents are active."""


class Evaluation(NamedTuple):
    """Figures of a finished dictionary on held-out activations, in their own units."""

    n_tokens: int
    fvu: float
    """Fraction of variance unexplained."""
    error: float
    """Squared error per token, summed over coordinates."""
    l0: float
    """Active latents per token."""
    unfired_fraction: float
    """Share of latents that fired on none of these tokens."""


def evaluate(dictionary: Dictionary, blocks: Iterable[Block]) -> Evaluation:
    """Return how the dictionary does on all blocks together.

    Raises:
        TrainingSourceUnfit: There are no tokens.
    """
    n_tokens, error, active = 0, 0.0, 0.0
    total = torch.zeros(dictionary.config.d_out, dtype=torch.float64)
    squares = torch.zeros((), dtype=torch.float64)
    fired = torch.zeros(dictionary.n_latents, dtype=torch.bool)
    for block in blocks:
        x, target = (
            part.to(dictionary.device).float() for part in (block if isinstance(block, tuple) else (block,) * 2)
        )
        codes, output = dictionary.encode_and_reconstruct(x)
        n_tokens += len(x)
        error += float((output - target).double().pow(2).sum())
        active += len(codes.latents)
        fired[codes.latents.long().cpu()] = True
        total += target.double().sum(0).cpu()
        squares += target.double().pow(2).sum().cpu()
    if not n_tokens:
        raise TrainingSourceUnfit("There are no held-out tokens to evaluate on.")
    variance = float(squares - total.pow(2).sum() / n_tokens)
    fvu = error / variance if variance > 0 else float("nan")
    return Evaluation(n_tokens, fvu, error / n_tokens, active / n_tokens, float((~fired).float().mean()))
