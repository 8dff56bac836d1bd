# pyright: standard
"""How much the edges that were found carry on held-out prompts, by their number, beside random sets of edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.circuit_report import CircuitPoint, RandomCircuits
from interp_lab.engine.components.passes import ComponentGraph
from interp_lab.methods.circuit_curve import Areas, areas, sizes
from interp_lab.statistics.clustered_ratio import clustered_ratio
from interp_lab.workflows.circuits.half import Half
from interp_lab.workflows.circuits.opening import Context
from interp_lab.workflows.circuits.search import Found, complement, gates_of


@dataclass(frozen=True, eq=False)
class Measured:
    """Held-out figures."""

    circuit: CircuitPoint
    on_explore: float
    curve: tuple[CircuitPoint, ...]
    areas: Areas
    controls: RandomCircuits
    n_groups: int


def measure(context: Context, found: Found) -> Measured:
    """Return the curve over sizes, the circuit's own point and its random twins, on confirm prompts."""
    half, order, kept = context.confirm, found.order, found.pruned.kept
    groups = context.design.sample.groups[list(half.rows)]
    tried = sizes(len(order), len(kept))
    points: list[CircuitPoint] = []
    for done, n in enumerate(tried):
        context.run.progress(done, len(tried), "running circuits of every size on held-out prompts", "sizes")
        points.append(point(half, order[:n], groups))
    circuit = points[tried.index(len(kept))]
    return Measured(
        circuit=circuit,
        on_explore=context.explore.faithfulness(gates_of(half.graph, kept, keep=True)),
        curve=tuple(points),
        areas=areas([one.share for one in points], [one.faithfulness for one in points]),
        controls=_controls(context, kept, circuit),
        n_groups=len(np.unique(groups)),
    )


def point(half: Half, edges: Sequence[int], groups: Sequence[int] | np.ndarray) -> CircuitPoint:
    """Return how much these edges carry, and how much every other edge does."""
    values = half.values(gates_of(half.graph, edges, keep=True))
    found = clustered_ratio(values - half.none, half.whole - half.none, groups)
    others = gates_of(half.graph, complement(half.graph, edges), keep=True)
    return CircuitPoint(
        n_edges=len(edges),
        share=len(edges) / len(half.graph.components.edges),
        faithfulness=found.ratio,
        faithfulness_interval=Interval(
            low=found.low, high=found.high, method=f"linearised ratio, Student t over {found.n_groups} prompt groups"
        ),
        completeness=half.faithfulness(others),
    )


def matched(graph: ComponentGraph, edges: Sequence[int], dice: np.random.Generator) -> list[int]:
    """Return a random set with as many edges into every reader as the given one."""
    every = graph.components.edges
    chosen: list[int] = []
    for reader in graph.components.readers:
        n = sum(every[edge][1] == reader for edge in edges)
        into = [i for i, (_, target) in enumerate(every) if target == reader]
        chosen += dice.permutation(into)[:n].tolist()
    return chosen


def _controls(context: Context, kept: Sequence[int], circuit: CircuitPoint) -> RandomCircuits:
    half, request = context.confirm, context.request
    dice = np.random.default_rng([request.seed, 2])
    values: list[float] = []
    for done in range(request.n_controls):
        context.run.progress(done, request.n_controls, "running random circuits on held-out prompts", "circuits")
        values.append(half.faithfulness(gates_of(half.graph, matched(half.graph, kept, dice), keep=True)))
    as_good = sum(value >= circuit.faithfulness - 1e-9 for value in values)
    return RandomCircuits(
        n=len(values),
        mean=float(np.mean(values)),
        largest=max(values),
        p_value=(1 + as_good) / (1 + len(values)),
    )
