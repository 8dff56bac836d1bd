# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Of candidates with exact scores, those that fire: the k best of every row, or the best of the batch."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_lab.dictionaries.sparse.products import starts


def best_of_rows(
    scores: Float[Tensor, " pairs"], rows: Int[Tensor, " pairs"], n_rows: int, k: int
) -> Bool[Tensor, " pairs"]:
    """Return which of the row-major candidates are among the k best of their row; of equals, the first."""
    begins = starts(rows, n_rows).long()
    counts = begins[1:] - begins[:-1]
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    longest = int(counts.max()) if n_rows else 0
    if longest <= k:
        return ~kept
    places = torch.arange(longest, device=scores.device)
    inside = places < counts[:, None]
    padded = torch.where(inside, scores.take(places.add(begins[:-1, None]).clamp_(max=len(scores) - 1)), -torch.inf)
    return _best(padded, k)[inside]


def _best(padded: Float[Tensor, "rows places"], k: int) -> Bool[Tensor, "rows places"]:
    """Return which are among the k best of their row."""
    if padded.device.type == "cpu":
        best = torch.from_numpy(np.argpartition(padded.numpy(), -k, axis=1)[:, -k:])
    else:
        best = padded.topk(k, dim=1, sorted=False).indices
    return torch.zeros_like(padded, dtype=torch.bool).scatter_(1, best, value=True)


def best_of_all(scores: Float[Tensor, " pairs"], count: int) -> Bool[Tensor, " pairs"]:
    """Return which candidates are among the `count` best."""
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    kept[scores.topk(min(count, len(scores)), sorted=False).indices] = True
    return kept
