# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Of candidates with exact scores, those that fire: the k best of every row, or the best of the batch."""

from __future__ import annotations

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
    places = begins[:-1, None] + torch.arange(longest, device=scores.device)
    inside = torch.arange(longest, device=scores.device) < counts[:, None]
    padded = torch.where(inside, scores[places.clamp_(max=len(scores) - 1)], -torch.inf)
    best = padded.topk(k, dim=1, sorted=False).indices
    kept[places.gather(1, best)[inside.gather(1, best)]] = True
    return kept


def best_of_all(scores: Float[Tensor, " pairs"], count: int) -> Bool[Tensor, " pairs"]:
    """Return which candidates are among the `count` best."""
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    kept[scores.topk(min(count, len(scores)), sorted=False).indices] = True
    return kept
