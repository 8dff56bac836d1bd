# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What an ablated component is seen to write: nothing, its mean, or what it writes on another prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.batches import TokenBatch, make_batch
from interp_lab.engine.components.passes import ComponentGraph, Writes
from interp_lab.models.tokens import TokenizedPrompt


def mean_writes(graph: ComponentGraph, prompts: Sequence[TokenizedPrompt]) -> Float[Tensor, "writer 1 1 d_model"]:
    """Return what every writer writes on average over all tokens of the prompts, special ones too."""
    total: Tensor | None = None
    n_tokens = 0
    for batch in graph.batches(prompts):
        writes, mask = whole_writes(graph, batch), batch.mask[None, :, :, None]
        found = (writes * mask).double().sum((1, 2), keepdim=True)
        total, n_tokens = found if total is None else total + found, n_tokens + int(batch.mask.sum())
    assert total is not None
    return (total / n_tokens).float()


def whole_writes(graph: ComponentGraph, batch: TokenBatch) -> Writes:
    """Return what every writer writes in the unedited model."""
    with torch.no_grad():
        return graph(batch, graph.all_kept).writes


def partner_writes(graph: ComponentGraph, batch: TokenBatch, partners: Mapping[int, TokenizedPrompt]) -> Writes:
    """Return what every writer writes on the partner of each prompt of a batch, which has as many tokens."""
    rows = [partners[index] for index in batch.indices]
    return whole_writes(graph, make_batch(graph.loaded, rows))
