# pyright: standard
"""Which edges carry the behaviour: ordered by an estimate, pruned by exact tests, on explore prompts only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from interp_lab.contracts.circuit_report import AttributionCheck
from interp_lab.engine.components.attribution import integrated
from interp_lab.engine.components.passes import ComponentGraph, Gates
from interp_lab.methods.edge_pruning import Floats, Pruned, prune
from interp_lab.workflows.circuits.opening import Context

N_CHECKED = 24
"""Edges cut alone to see how far the estimate is off: half of them the largest, the others drawn."""


@dataclass(frozen=True, eq=False)
class Found:
    """What the search says of every edge, in the order of the architecture."""

    attributions: Floats
    """Shares of the whole difference."""
    pruned: Pruned
    check: AttributionCheck

    @property
    def order(self) -> list[int]:
        """Return edges from the costliest down; equal ones by attribution."""
        kept = set(self.pruned.kept)
        key = [(i in kept, self.pruned.costs[i], abs(self.attributions[i])) for i in range(len(self.attributions))]
        return sorted(range(len(key)), key=lambda i: key[i], reverse=True)


def search(context: Context) -> Found:
    """Return the attribution and the exact cost of every edge, and what is left after pruning."""
    half, request = context.explore, context.request
    attributions, total = attributions_of(context)
    n_edges = len(attributions)
    done = 0

    def value(cut: frozenset[int]) -> float:
        nonlocal done
        done += 1
        context.run.progress(done, None, "cutting edges on explore prompts", "tests")
        return half.faithfulness(gates_of(half.graph, cut, keep=False))

    order = np.argsort(np.abs(attributions), kind="stable").tolist()
    pruned = prune(order, value, tolerance=request.tolerance)
    dice = np.random.default_rng(request.seed)
    largest = order[::-1][: N_CHECKED // 2]
    others = [i for i in range(n_edges) if i not in largest]
    checked = [*largest, *dice.permutation(others)[: N_CHECKED // 2].tolist()]
    exact = np.array([1.0 - value(frozenset([i])) for i in checked])
    return Found(
        attributions,
        pruned,
        AttributionCheck(
            n_steps=request.n_steps,
            sum_error=abs(total - 1.0),
            n_edges=len(checked),
            correlation=_correlation(attributions[checked], exact),
        ),
    )


def gates_of(graph: ComponentGraph, edges: Collection[int], *, keep: bool) -> Gates:
    """Return gates that keep exactly these edges, or cut exactly these."""
    gates = torch.zeros_like(graph.all_kept) if keep else graph.all_kept
    readers, writers = _places(graph, edges)
    gates[readers, writers] = float(keep)
    return gates


def attributions_of(context: Context) -> tuple[Floats, float]:
    """Return the integrated slope of every edge as a share of the whole difference, and their sum."""
    half, request = context.explore, context.request
    total = torch.zeros_like(half.graph.all_kept)
    for done, part in enumerate(half.parts):
        context.run.progress(done, len(half.parts), "integrating gradients over edges", "batches")
        total += integrated(half.graph, part.batch, part.metric, ablated=part.ablated, n_steps=request.n_steps).scores
    readers, writers = _places(half.graph, range(len(half.graph.components.edges)))
    found = total[readers, writers].double().cpu().numpy() / half.span
    return found, float(found.sum())


def _places(graph: ComponentGraph, edges: Collection[int]) -> tuple[list[int], list[int]]:
    parts = graph.components
    named = [parts.edges[edge] for edge in edges]
    return [parts.readers.index(reader) for _, reader in named], [parts.writers.index(writer) for writer, _ in named]


def _correlation(a: Floats, b: Floats) -> float | None:
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def complement(graph: ComponentGraph, edges: Sequence[int]) -> list[int]:
    """Return every other edge."""
    chosen = set(edges)
    return [i for i in range(len(graph.components.edges)) if i not in chosen]
