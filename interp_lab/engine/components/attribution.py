# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What every edge is worth by its slope, integrated between the ablated model and the whole one.

All edges are opened together from ablated to kept; an edge's score is the mean slope of the metric along the way. The
scores of all edges add up to the whole difference as the number of steps grows, which the result states.

Source: Syed et al., "Attribution patching outperforms automated circuit discovery" (2023), for edges; Hanna et al.,
"Have faith in faithfulness" (2024), for integration (EAP-IG); Sundararajan et al. (2017) for the sum. Differs from
Hanna et al. in what is interpolated: every edge between ablated and written, not the embedding of the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.components.passes import ComponentGraph, Gates, Writes
from interp_lab.errors import NonFiniteActivations

Metric = Callable[[Float[Tensor, "batch pos n_vocab"]], Float[Tensor, " batch"]]
"""From logits to one number per prompt."""


class Attribution(NamedTuple):
    """The estimate for one batch."""

    scores: Gates
    """Per reader and writer, summed over prompts; where there is no edge, 0."""
    whole: float
    """The metric with every edge kept less that with none, summed over prompts: what scores should add up to."""


def integrated(
    graph: ComponentGraph, batch: TokenBatch, metric: Metric, *, ablated: Writes | None, n_steps: int
) -> Attribution:
    """Return the integrated slopes of one batch, at the middles of `n_steps` equal steps.

    Raises:
        NonFiniteActivations: A slope is NaN or infinite.
    """
    total = torch.zeros_like(graph.all_kept)
    for step in range(n_steps):
        gates = torch.full_like(total, (step + 0.5) / n_steps).requires_grad_()
        with torch.enable_grad():
            value = metric(graph(batch, gates, ablated).logits).sum()
            (slope,) = torch.autograd.grad(value, gates)
        total += slope / n_steps
    with torch.no_grad():
        kept, none = (
            float(metric(graph(batch, gates, ablated).logits).sum())
            for gates in (graph.all_kept, torch.zeros_like(total))
        )
    if not bool(total.isfinite().all()):
        raise NonFiniteActivations("An attribution of an edge is not finite.")
    return Attribution(total, kept - none)
