"""How far two sets of rows are the same, from their sizes: Jaccard index, phi, lift. Rates of nothing are 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats


class Overlap(NamedTuple):
    """One value per pair of sets."""

    jaccard: Floats
    """Rows in both over rows in either."""
    phi: Floats
    """Correlation of the two indicators, in [-1, 1]; 0 where one set is empty or everything."""


class Lift(NamedTuple):
    """One value per set of rows: how often it meets the rows that matched, and how often the others."""

    inside: Floats
    """Share of matching rows that are in the set."""
    outside: Floats
    """Share of other rows that are in the set."""
    lift: Floats
    """Share of the set's rows that match over the share of all rows that do; 1 is none."""


def overlap(both: ArrayLike, first: ArrayLike, second: ArrayLike, *, n_rows: int) -> Overlap:
    """Return how far sets of `first` and `second` rows are the same when `both` rows are in both, of `n_rows` rows."""
    k, a, b = (np.asarray(each, dtype=np.float64) for each in (both, first, second))
    either = a + b - k
    spread = np.sqrt(a * (n_rows - a) * b * (n_rows - b))
    return Overlap(_ratio(k, either), np.clip(_ratio(n_rows * k - a * b, spread), -1.0, 1.0))


def lift(both: ArrayLike, in_set: ArrayLike, *, n_matching: int, n_rows: int) -> Lift:
    """Return rates and lift of sets of `in_set` rows, `both` of which are among `n_matching` of `n_rows` rows."""
    k, a = np.asarray(both, dtype=np.float64), np.asarray(in_set, dtype=np.float64)
    inside = _ratio(k, np.full_like(k, n_matching))
    outside = _ratio(a - k, np.full_like(k, n_rows - n_matching))
    return Lift(inside, outside, _ratio(_ratio(k, a), np.full_like(k, n_matching / n_rows if n_rows else 0.0)))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
