"""The mean of dependent rows, with a Student-t interval over groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import checked_vector
from interp_lab.statistics.distributions import student_critical_value, student_tail
from interp_lab.statistics.group_error import group_error

INTERVAL_METHOD = "Student t on group sums, groups of unequal size allowed for"


class MeanEstimate(NamedTuple):
    """A mean with its cluster-robust interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    standard_error: float
    p: float
    """Two-sided, against a mean of 0."""
    n_groups: int
    n_rows: int


def clustered_mean(values: ArrayLike, groups: ArrayLike, *, level: float = 0.95) -> MeanEstimate:
    """Return the mean over rows with an interval that counts groups, not rows.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
        TooFewGroups: there are fewer than two groups.

    Source: linearised ratio mean, Cochran (1977, §9A); error and degrees of freedom as `group_error`.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    rows = checked_vector(values, codes.size, "value")
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < 2:
        raise TooFewGroups(f"A mean over {n_groups} group has no interval.")
    mean = float(rows.mean())
    sums = np.bincount(codes, weights=rows - mean)
    error, df = group_error(sums / rows.size, np.bincount(codes) / rows.size)
    half = student_critical_value(level, df) * error
    p = 2 * float(student_tail(abs(mean) / error, df)) if error > 0 else float(mean == 0)
    return MeanEstimate(mean, mean - half, mean + half, error, p, n_groups, rows.size)
