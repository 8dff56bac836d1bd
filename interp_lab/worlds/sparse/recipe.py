# pyright: standard
"""The fixed part of a sparse world: how often features fire, which depend on which, and where they point.

Source: the SynthSAEBench recipe of Chanin and Garriga-Alonso 2026 (arXiv 2602.14687).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.sparse import DictionaryDials

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]

_LEAST_PRIVATE = 0.01
"""Least share of a feature's drive that is its own and not the common factors'."""

_CHUNK = 1024


@dataclass(frozen=True)
class Hierarchy:
    """Which feature is whose child, level by level."""

    parents: Wholes
    """Parent of every feature, or -1."""
    levels: tuple[Wholes, ...]
    """Features below the roots, by depth."""
    exclusive: frozenset[int]
    """Parents of whose children at most one fires."""

    def children(self, parent: int) -> Wholes:
        """Return the children of a feature."""
        return np.flatnonzero(self.parents == parent)


@dataclass(frozen=True)
class Recipe:
    """Everything that rows are drawn from."""

    dials: DictionaryDials
    hierarchy: Hierarchy
    rates: Floats
    """How often each feature is meant to fire."""
    thresholds: Floats
    """What a feature's normal drive must exceed."""
    factor: Floats
    """Loading of every feature on the common factors, `(features, rank)`."""
    private: Floats
    means: Floats
    deviations: Floats


def draw_recipe(dials: DictionaryDials, rng: np.random.Generator) -> Recipe:
    """Return the recipe that the dials describe."""
    hierarchy = draw_hierarchy(dials, rng)
    rates = zipf(dials.features, dials.zipf, dials.probabilities)
    raised = compensated(rates, hierarchy) if dials.compensated else rates
    factor, private = _correlation(dials, rng)
    mean, spread = dials.deviation
    return Recipe(
        dials=dials,
        hierarchy=hierarchy,
        rates=rates,
        thresholds=np.array([_threshold(float(rate)) for rate in raised], dtype=np.float32),
        factor=factor,
        private=private,
        means=np.linspace(*dials.means, dials.features, dtype=np.float32),
        deviations=np.abs(mean + spread * rng.standard_normal(dials.features)).astype(np.float32),
    )


def zipf(count: int, exponent: float, ends: tuple[float, float]) -> Floats:
    """Return firing probabilities that fall as a power of the rank, stretched to the two ends."""
    most, least = ends
    raw = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return (least + (most - least) * (raw - raw[-1]) / (raw[0] - raw[-1])).astype(np.float32)


def draw_hierarchy(dials: DictionaryDials, rng: np.random.Generator) -> Hierarchy:
    """Return trees filled breadth first with the most frequent features; the rest stand alone."""
    parents = np.full(dials.features, -1, dtype=np.int64)
    above = np.arange(min(dials.roots, dials.features))
    following, levels = len(above), list[Wholes]()
    for _ in range(dials.depth):
        below = np.arange(following, min(following + dials.branching * len(above), dials.features))
        parents[below] = above[(below - following) // dials.branching] if len(below) else below
        levels.append(below)
        following, above = following + len(below), below
    every, counts = np.unique(parents[parents >= 0], return_counts=True)
    eligible = every[counts >= 2]
    chosen = rng.permutation(eligible)[: int(len(eligible) * dials.exclusive)]
    return Hierarchy(parents, tuple(levels), frozenset(chosen.tolist()))


def compensated(rates: Floats, hierarchy: Hierarchy) -> Floats:
    """Return probabilities raised against what parents and exclusion take away; deep features still fire less often."""
    raised = rates.astype(np.float64)
    for parent in np.unique(hierarchy.parents[hierarchy.parents >= 0]).tolist():
        children = hierarchy.children(parent)
        raised[children] /= rates[parent]
        if parent in hierarchy.exclusive:
            raised[children] *= 1.0 + (rates[children].sum() - rates[children]) / rates[parent]
    return np.minimum(raised, 1.0).astype(np.float32)


def draw_directions(count: int, width: int, *, steps: int, rate: float, rng: np.random.Generator) -> Floats:
    """Return unit vectors `(count, width)`, pushed apart by gradient descent on their squared inner products."""
    draws = torch.from_numpy(rng.standard_normal((count, width)).astype(np.float32))
    vectors = (draws / draws.norm(dim=1, keepdim=True)).requires_grad_()
    optimiser = torch.optim.Adam([vectors], lr=rate)
    for _ in range(steps):
        vectors.grad = _repulsion(vectors.detach())
        optimiser.step()
    found = vectors.detach()
    return (found / found.norm(dim=1, keepdim=True)).numpy()


def _repulsion(vectors: torch.Tensor) -> torch.Tensor:
    """Gradient of the squared inner products of all pairs and, `count` times as heavy, of squared lengths less 1."""
    gradient = torch.empty_like(vectors)
    for first in range(0, len(vectors), _CHUNK):
        chunk = vectors[first : first + _CHUNK]
        products = chunk @ vectors.T
        own = products[range(len(chunk)), range(first, first + len(chunk))].clone()
        products[range(len(chunk)), range(first, first + len(chunk))] = len(vectors) * (own - 1.0)
        gradient[first : first + len(chunk)] = 4.0 * products @ vectors
    return gradient


def _threshold(rate: float) -> float:
    if rate >= 1.0:
        return -np.inf
    return NormalDist().inv_cdf(1.0 - rate) if rate > 0.0 else np.inf


def _correlation(dials: DictionaryDials, rng: np.random.Generator) -> tuple[Floats, Floats]:
    factor = dials.correlation * rng.standard_normal((dials.features, dials.rank))
    common = (factor**2).sum(axis=1)
    too_much = common > 1.0 - _LEAST_PRIVATE
    factor[too_much] *= np.sqrt((1.0 - _LEAST_PRIVATE) / common[too_much])[:, None]
    private = np.sqrt(1.0 - (factor**2).sum(axis=1))
    return factor.astype(np.float32), private.astype(np.float32)
