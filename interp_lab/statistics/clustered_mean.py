"""The mean of dependent rows, with a Student-t interval over groups that reaches farther on the side of a tail."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import checked_vector
from interp_lab.statistics.distributions import student_critical_value, student_tail
from interp_lab.statistics.group_error import balance_of
from interp_lab.statistics.tail_reach import reach, skewness_of

INTERVAL_METHOD = "Student t on group sums, unequal groups and a tail of effects allowed for"
NO_INTERVAL = "none: no group shows anything, which does not tell how much one that was not seen would"


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

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, or None where no group shows anything.

        How large an effect is that no group has shown cannot be known from them; `1 - 0.025 ** (1 / n_groups)` of all
        groups may show one.
        """
        return None if self.mean == 0 and self.standard_error == 0 else (self.low, self.high)

    @property
    def method(self) -> str:
        """How the interval was made, or why there is none."""
        return NO_INTERVAL if self.interval is None else INTERVAL_METHOD


def clustered_mean(values: ArrayLike, groups: ArrayLike, *, level: float = 0.95) -> MeanEstimate:
    """Return the mean over rows with an interval that counts groups, not rows.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
        TooFewGroups: there are fewer than two groups.

    Source: linearised ratio mean, Cochran (1977, §9A); error and degrees of freedom as `balance_of`, tails as `reach`.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    rows = checked_vector(values, codes.size, "value")
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < 2:
        raise TooFewGroups(f"A mean over {n_groups} group has no interval.")
    mean = float(rows.mean())
    sums = np.bincount(codes, weights=rows - mean) / rows.size
    balance = balance_of(np.bincount(codes) / rows.size)
    error, df = float(np.sqrt(sums**2 @ balance.inverse)), float(balance.df[0])
    found = reach(np.array([mean]), np.array([error]), skewness_of(sums[None]), balance, level=level)
    toward, away = float(found.toward[0]), float(found.away[0])
    below, above = (toward, away) if mean > 0 else (away, toward) if mean < 0 else (away, away)
    half = student_critical_value(level, df) * error
    p = 2 * float(student_tail(abs(mean) / error / toward, df)) if error > 0 else float(mean == 0)
    return MeanEstimate(mean, mean - below * half, mean + above * half, error, p, n_groups, rows.size)
