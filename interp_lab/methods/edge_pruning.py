"""Greedy pruning by exact tests: edges are cut from the least up, and stay cut where little is lost.

Source: Conmy et al., "Towards Automated Circuit Discovery for Mechanistic Interpretability" (2023), algorithm 1.
Differs in the order (by attribution, from the least up, instead of from the output back) and in trying many edges at
once: a group that loses no more than one edge may is cut at once, any other is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Pruned(NamedTuple):
    """What is left, and what every edge costs."""

    kept: tuple[int, ...]
    """Places of edges that stay, in order of the edges."""
    costs: Floats
    """Per edge, how far the metric moved when it was cut from what was left at its turn; of edges that were cut
    together, that of all of them."""
    n_tests: int
    """Exact tests."""


class _Tested(NamedTuple):
    """A test of a larger group: how many edges were cut in it, and the metric."""

    n_cut: int
    value: float


class _Group(NamedTuple):
    """Edges to try together."""

    edges: tuple[int, ...]
    whole: _Tested | None = None
    """The test of the group that this is the second half of: where all of the first half is cut, it is this one's."""


def prune(
    order: Sequence[int], value: Callable[[frozenset[int]], float], *, tolerance: float, group: int = 16
) -> Pruned:
    """Return what is left when edges are tried in `order`; `value` is the metric when those edges are cut.

    A cut stays if the metric moves by at most `tolerance`, either way.
    """
    costs = np.zeros(len(order), dtype=np.float64)
    cut: frozenset[int] = frozenset()
    now, n_tests = value(cut), 1
    waiting = [_Group(tuple(order[i : i + group])) for i in range(0, len(order), group)][::-1]
    while waiting:
        tried, whole = waiting.pop()
        if whole is not None and whole.n_cut == len(cut) + len(tried):
            then = whole.value
        else:
            then = value(cut | frozenset(tried))
            n_tests += 1
        if abs(then - now) <= tolerance:
            costs[list(tried)] = abs(then - now)
            cut, now = cut | frozenset(tried), then
        elif len(tried) == 1:
            costs[tried[0]] = abs(then - now)
        else:
            half, known = len(tried) // 2, _Tested(len(cut) + len(tried), then)
            waiting += [_Group(tried[half:], known), _Group(tried[:half])]
    return Pruned(tuple(sorted(set(order) - cut)), costs, n_tests)
