"""The mean of one quantity at every level of a label, each with an interval that counts groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.distributions import student_critical, student_critical_value
from interp_lab.statistics.group_error import degrees_of_freedom, inverse_rests


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
    spread = n_groups >= 2
    weights = np.bincount(cell.ravel(), minlength=cells.size) / count[owner]
    inverse = inverse_rests(weights)
    squares, *sums = (
        np.bincount(owner, weights=each, minlength=n_levels)
        for each in (off**2 * inverse, weights**2, weights**2 * inverse, (weights**2 * inverse) ** 2)
    )
    df = np.where(spread, degrees_of_freedom(*(np.where(spread, each, 1.0) for each in sums)), 1.0)
    error = np.sqrt(squares) / np.maximum(count, 1)
    half = np.where(spread, student_critical(level, np.clip(df, 1.0, np.maximum(1, n_groups - 1))) * error, np.inf)
    return LevelMeans(count, n_groups, mean, mean - half, high=mean + half, maximum=maximum)


def mean_interval(values: Floats, clusters: Clusters, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Return mean, low and high of `values` `(..., n_rows)` over all rows; unbounded with fewer than two groups.

    Source: as `level_means`.
    """
    mean = values.mean(axis=-1)
    n_groups = clusters.n_groups
    if n_groups < 2:
        return mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    off = clusters.sums(values - mean[..., None])
    weights = clusters.sizes / clusters.n_rows
    inverse = inverse_rests(weights)
    pulls = inverse * weights**2
    df = degrees_of_freedom(float(weights @ weights), float(pulls.sum()), float(pulls @ pulls))
    error = np.sqrt((off**2 * inverse).sum(axis=-1)) / clusters.n_rows
    half = student_critical_value(level, min(max(df, 1.0), n_groups - 1.0)) * error
    return mean, mean - half, mean + half
