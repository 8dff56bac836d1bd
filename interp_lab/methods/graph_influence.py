"""How much of the logits runs through every node and edge of a graph, what is left after pruning, and two scores.

Source: Ameisen et al., "Circuit Tracing" (2025), appendix on graph pruning and graph scores: inputs of a node as
absolute shares, influence over paths of any length, nodes and edges kept until they hold a share of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Scores(NamedTuple):
    """How much of a graph its latents explain; both are 1 without errors."""

    replacement: float
    """Share of what reaches the logits from tokens rather than errors."""
    completeness: float
    """Share of every node's input that comes from nodes other than errors, weighted by influence."""


class Pruned(NamedTuple):
    """What is kept."""

    nodes: Bools
    edges: Bools
    """Target by source."""


def shares(weights: Floats) -> Floats:
    """Return every target's inputs as absolute shares that sum to 1; rows without input stay 0."""
    size = np.abs(weights)
    total = size.sum(axis=1, keepdims=True)
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def influence(weights: Floats, on: Floats) -> Floats:
    """Return how much of the targets weighted by `on` runs through every node, along paths of any length."""
    normalised = shares(weights)
    step = on @ normalised
    total = np.zeros_like(step)
    for _ in range(len(step)):  # no path is longer than the number of nodes
        total += step
        step = step @ normalised
        if not step.any():
            break
    return total


def scores(weights: Floats, on: Floats, *, tokens: Bools, errors: Bools) -> Scores:
    """Return both scores of a graph before it is pruned."""
    through = influence(weights, on)
    token, error = float(through[tokens].sum()), float(through[errors].sum())
    reached = through + on
    with_input = shares(weights).sum(axis=1) > 0
    clean = 1.0 - shares(weights)[:, errors].sum(axis=1)
    weighted = np.where(with_input, reached, 0.0)
    return Scores(
        token / (token + error) if token + error > 0 else 0.0,
        float((clean * weighted).sum() / weighted.sum()) if weighted.sum() > 0 else 0.0,
    )


def prune(weights: Floats, on: Floats, *, fixed: Bools, node_share: float, edge_share: float) -> Pruned:
    """Return the nodes that hold `node_share` of all influence and the edges between them that hold `edge_share`.

    `fixed` nodes (tokens and logits) stay. Latents that lead nowhere, or that nothing reaches, go with their edges.
    """
    through = influence(weights, on)
    nodes = fixed | _holding(np.where(fixed, 0.0, through), node_share)
    left = np.where(nodes[:, None] & nodes[None, :], weights, 0.0)
    flow = shares(left) * (influence(left, on) + on)[:, None]
    edges = _holding(flow.ravel(), edge_share).reshape(flow.shape) & (left != 0)
    while True:
        used = fixed | (nodes & edges.any(axis=0))
        if (used == nodes).all():
            return Pruned(nodes, edges)
        nodes = used
        edges = edges & nodes[:, None] & nodes[None, :]


def _holding(values: Floats, share: float) -> Bools:
    """The largest values that together hold a share of their sum."""
    order = np.argsort(-values, kind="stable")
    before = np.cumsum(values[order]) - values[order]
    kept = np.zeros(len(values), dtype=np.bool_)
    kept[order] = (before < share * values.sum()) & (values[order] > 0)
    return kept
