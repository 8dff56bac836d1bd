"""The ratio of two sums over dependent rows, with a Student-t interval over groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import checked_vector
from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.group_error import group_error


class RatioEstimate(NamedTuple):
    """A ratio with its cluster-robust interval."""

    ratio: float
    low: float
    high: float
    n_groups: int


def clustered_ratio(
    numerator: ArrayLike, denominator: ArrayLike, groups: ArrayLike, *, level: float = 0.95
) -> RatioEstimate:
    """Return the sum of `numerator` over that of `denominator` with an interval that counts groups, not rows.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
        TooFewGroups: there are fewer than two groups, or the denominators sum to nothing.

    Source: linearised ratio estimator, Cochran (1977, §6.3 and §9A); error and degrees of freedom as `group_error`.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    above = checked_vector(numerator, codes.size, "numerator")
    below = checked_vector(denominator, codes.size, "denominator")
    n_groups = int(codes.max(initial=-1)) + 1
    total = float(below.sum())
    if n_groups < 2 or total <= 0:
        raise TooFewGroups(f"A ratio over {n_groups} groups whose denominators sum to {total:g} has no interval.")
    ratio = float(above.sum()) / total
    sums = np.bincount(codes, weights=above - ratio * below)
    error, df = group_error(sums / total, np.bincount(codes, weights=below) / total)
    half = student_critical_value(level, df) * error
    return RatioEstimate(ratio, ratio - half, ratio + half, n_groups)
