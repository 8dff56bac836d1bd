# pyright: standard
"""One half of the prompts, ready to be run with any edges cut: batches, what replaces a cut edge, the metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.find_circuit import FindCircuitRequest
from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.components.ablations import partner_writes
from interp_lab.engine.components.attribution import Metric
from interp_lab.engine.components.passes import ComponentGraph, Gates, Passed, Writes
from interp_lab.engine.components.scores import logit_difference, nearness
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.errors import BehaviourAbsent, NonFiniteActivations
from interp_lab.models.tokens import TokenizedPrompt

Floats = NDArray[np.float64]
_REMEMBERED, _KNOWN_BYTES = 2, 2**29
"""Passes of a batch that are kept, and the memory that those of all batches of a half may take."""


@dataclass(frozen=True, eq=False)
class Part:
    """One batch."""

    batch: TokenBatch
    ablated: Writes | None
    metric: Metric
    known: list[Passed]
    """The last passes, from which the next begins where it agrees with one of them; empty where memory is short."""
    remember: bool

    def value(self, graph: ComponentGraph, gates: Gates) -> torch.Tensor:
        """Return the metric of every prompt of the batch."""
        with torch.no_grad():
            passed = graph(self.batch, gates, self.ablated, known=self.known)
            if self.remember:
                _, source = graph.shared(gates, self.known)
                kept = [one for one in self.known if one is not source]
                written = replace(passed, logits=passed.logits[..., :0])
                self.known[:] = [*kept, *([] if source is None else [source]), written][-_REMEMBERED:]
            return self.metric(passed.logits)


@dataclass(frozen=True, eq=False)
class Half:
    """Prompts of one half."""

    graph: ComponentGraph
    rows: tuple[int, ...]
    """Rows of the dataset, in the order of values."""
    parts: tuple[Part, ...]
    whole: Floats
    """Metric of every prompt with every edge kept."""
    none: Floats
    """The same with every edge cut."""

    @property
    def span(self) -> float:
        """Return the whole difference: what cutting every edge costs, summed over prompts."""
        return float((self.whole - self.none).sum())

    def values(self, gates: Gates) -> Floats:
        """Return the metric of every prompt.

        Raises:
            NonFiniteActivations: One of them is NaN or infinite.
        """
        return _values(self.graph, self.parts, gates, len(self.rows))

    def faithfulness(self, gates: Gates) -> float:
        """Return the metric between 0 with no edge and 1 with all."""
        return float((self.values(gates) - self.none).sum()) / self.span


def open_half(
    graph: ComponentGraph,
    request: FindCircuitRequest,
    prompts: Sequence[TokenizedPrompt],
    *,
    rows: Sequence[int],
    behaviour: Behaviour | None,
    mean: Writes | None,
    partners: Sequence[TokenizedPrompt] | None,
) -> Half:
    """Return a half; `prompts` and `partners` are those of `rows`, in that order.

    Raises:
        BehaviourAbsent: Cutting every edge does not lower the metric.
        NonFiniteActivations: The metric is NaN or infinite.
    """
    by_index = {} if partners is None else dict(enumerate(partners))
    parts: list[Part] = []
    left = _KNOWN_BYTES
    for batch in graph.batches(prompts):
        with torch.no_grad():
            whole = graph(batch, graph.all_kept).logits
        ablated = mean if partners is None else partner_writes(graph, batch, by_index)
        metric = (
            logit_difference(batch, behaviour)
            if behaviour is not None
            else nearness(
                batch,
                whole,
                kind="kl" if request.metric == "kl" else "squared_error",
                positions=request.positions,
            )
        )
        left -= _REMEMBERED * graph.pass_bytes(batch)
        parts.append(Part(batch, ablated, metric, [], remember=left > 0))
    kept = _values(graph, parts, graph.all_kept, len(prompts))
    none = _values(graph, parts, torch.zeros_like(graph.all_kept), len(prompts))
    if float((kept - none).sum()) <= 0:
        raise BehaviourAbsent(
            f"With every edge ablated to {request.ablation}, the metric is {none.mean():.3g}; the whole model has "
            f"{kept.mean():.3g}, so there is nothing that a circuit could carry."
        )
    return Half(graph, tuple(rows), tuple(parts), kept, none)


def _values(graph: ComponentGraph, parts: Sequence[Part], gates: Gates, n: int) -> Floats:
    found = np.zeros(n)
    for part in parts:
        found[list(part.batch.indices)] = part.value(graph, gates).double().cpu().numpy()
    if not np.isfinite(found).all():
        raise NonFiniteActivations("The metric of a circuit is not finite.")
    return found
