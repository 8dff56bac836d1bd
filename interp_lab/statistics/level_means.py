"""The mean of one quantity at every level of a label, each with an interval that counts groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.distributions import student_critical
from interp_lab.statistics.group_error import balance_of
from interp_lab.statistics.tail_reach import Reach, reach, skewness_of


@dataclass(frozen=True, slots=True, eq=False)
class LevelMeans:
    """One value per level `(n_levels,)`; levels without rows have a count of 0 and a mean of NaN."""

    count: Ints
    n_groups: Ints
    mean: Floats
    low: Floats
    """Student t over groups; minus infinity for a level seen in fewer than two groups."""
    high: Floats
    maximum: Floats


def level_means(values: Floats, levels: Ints, groups: Ints, *, n_levels: int, level: float = 0.95) -> LevelMeans:
    """Return the mean of `values` `(n_rows,)` at each of the levels `0..n_levels-1`; rows of level -1 are left out.

    Source: linearised ratio mean, Cochran (1977, §9A), per level, as `clustered_mean`.
    """
    known = levels >= 0
    values, levels, groups = values[known], levels[known].astype(np.int64), groups[known].astype(np.int64)
    count = np.bincount(levels, minlength=n_levels)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(levels, weights=values, minlength=n_levels) / count
    maximum = np.full(n_levels, -np.inf)
    np.maximum.at(maximum, levels, values)
    n_names = int(groups.max(initial=0)) + 1
    cells, cell = np.unique(levels * n_names + groups, return_inverse=True)
    owner = cells // n_names
    off = np.bincount(cell.ravel(), weights=values - mean[levels], minlength=cells.size)
    n_groups = np.bincount(owner, minlength=n_levels)
    weights = np.bincount(cell.ravel(), minlength=cells.size) / count[owner]
    balance = balance_of(weights, owner, n_levels)
    squares, plain, cubes = (
        np.bincount(owner, weights=each, minlength=n_levels) for each in (off**2 * balance.inverse, off**2, off**3)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(plain > 0, cubes / plain**1.5, 0.0)
    error = np.sqrt(squares) / np.maximum(count, 1)
    found = reach(mean, error, skewness, balance, level=level)
    low, high = _bounds(mean, error * student_critical(level, balance.df), found)
    spread = n_groups >= 2
    low, high = np.where(spread, low, -np.inf), np.where(spread, high, np.inf)
    return LevelMeans(count, n_groups, mean, np.where(count, low, np.nan), np.where(count, high, np.nan), maximum)


def mean_interval(values: Floats, clusters: Clusters, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Return mean, low and high of `values` `(..., n_rows)` over all rows; unbounded with fewer than two groups.

    Source: as `level_means`.
    """
    mean = values.mean(axis=-1)
    if clusters.n_groups < 2:
        return mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    off = clusters.sums(values - mean[..., None])
    balance = balance_of(clusters.sizes / clusters.n_rows)
    error = np.sqrt((off**2 * balance.inverse).sum(axis=-1)) / clusters.n_rows
    found = reach(mean, error, skewness_of(off), balance, level=level)
    low, high = _bounds(mean, error * student_critical(level, balance.df), found)
    return mean, low.reshape(mean.shape), high.reshape(mean.shape)


def _bounds(mean: Floats, half: Floats, found: Reach) -> tuple[Floats, Floats]:
    return (
        mean - half * np.where(mean > 0, found.toward, found.away),
        mean + half * np.where(mean < 0, found.toward, found.away),
    )
