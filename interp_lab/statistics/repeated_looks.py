"""Intervals that hold however often one looks: the same stricter level at every look of a planned sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from interp_lab.errors import InvalidRequest
from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.distributions import student_tail

METHOD = "repeated intervals (Pocock), Student t"
_DRAWS = 20_000
_BLOCK = 2_000
_SEED = 1977


@dataclass(frozen=True, eq=False)
class RepeatedLooks:
    """The looks of a sequence, and what the smallest p-value among them is when there is nothing to see."""

    n_groups: tuple[int, ...]
    """Groups at each look."""
    least_p: Floats
    """Ascending; smallest two-sided p over all looks, of simulated means of independent groups."""

    def nominal(self, level: float) -> float:
        """Return the coverage that each interval needs so that all of them together have coverage `level`."""
        return 1 - float(np.quantile(self.least_p, 1 - level))

    def adjusted(self, p: float) -> float:
        """Return the p-value of a look as one of all planned looks: never smaller than it was."""
        as_small = int(np.searchsorted(self.least_p, p, side="right"))
        return min(1.0, max(p, (as_small + 1) / (len(self.least_p) + 1)))


@lru_cache(maxsize=32)
def repeated_looks(n_groups: tuple[int, ...]) -> RepeatedLooks:
    """Return the sequence of looks at so many groups each; later looks hold the groups of earlier ones.

    Raises:
        InvalidRequest: The numbers do not rise from at least 2.

    Source: Pocock (1977); repeated confidence intervals, Jennison and Turnbull (1989). The level is found by seeded
    simulation of Student's t of the very numbers of groups, because theirs is for many.
    """
    if not n_groups or n_groups[0] < 2 or any(a >= b for a, b in pairwise(n_groups)):
        raise InvalidRequest(f"Looks at {list(n_groups)} groups do not rise from at least 2.")
    rng = np.random.default_rng(_SEED)
    least: list[Floats] = []
    for _ in range(_DRAWS // _BLOCK):
        sums, squares, smallest, before = np.zeros(_BLOCK), np.zeros(_BLOCK), np.ones(_BLOCK), 0
        for n in n_groups:
            new = rng.standard_normal((_BLOCK, n - before))
            sums, squares, before = sums + new.sum(axis=1), squares + (new**2).sum(axis=1), n
            variance = np.maximum(squares - sums**2 / n, 1e-300) / (n - 1)
            smallest = np.minimum(smallest, 2 * student_tail(np.abs(sums) / np.sqrt(variance * n), n - 1))
        least.append(smallest)
    return RepeatedLooks(n_groups, np.sort(np.concatenate(least)))


def look_sizes(n_groups: int, *, least: int, n_looks: int = 4) -> tuple[int, ...]:
    """Return at how many groups to look: in equal steps up to all, the first at `least` or more."""
    steps = [round(n_groups * (k + 1) / n_looks) for k in range(n_looks)]
    return tuple(dict.fromkeys(min(n_groups, max(least, n)) for n in steps))


def in_order(groups: Sequence[int], seed: int) -> list[int]:
    """Return the distinct groups in a seeded random order, the same whatever order they come in."""
    distinct = sorted(set(groups))
    return [distinct[i] for i in np.random.default_rng((seed, 11)).permutation(len(distinct))]
