"""The share of dependent yes-or-no rows, with a Wilson interval over what the groups leave of the sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import checked_vector
from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.group_error import group_error
from interp_lab.statistics.wilson import wilson_interval

INTERVAL_METHOD = (
    "Wilson with Student t, on the effective number of rows; never closer to 0 or 1 than if all groups agree"
)


class ShareEstimate(NamedTuple):
    """A share with its interval."""

    share: float
    low: float
    high: float
    n_yes: int
    n_rows: int
    n_groups: int


def clustered_share(
    yes: ArrayLike, groups: ArrayLike, *, weights: ArrayLike | None = None, level: float = 0.95
) -> ShareEstimate:
    """Return the share of rows that are true, weighed if `weights` are given; rows of one group count as dependent.

    The design effect is never taken as below 1. Where all rows agree it cannot be estimated, so groups are counted; nor
    can it where but a few do not, so no end is closer to 1 or 0 than if all agreed: a fault that is seen makes no
    interval narrower.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
        TooFewGroups: There are no rows.

    Source: Wilson (1927) with Student's t; effective sample size by Korn and Graubard (1998), variance and degrees
    of freedom as `group_error`.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    rows = checked_vector(np.asarray(yes, dtype=np.float64), codes.size, "row")
    if not rows.size:
        raise TooFewGroups("A share of no rows has no value.")
    weight = np.ones(rows.size) if weights is None else checked_vector(weights, codes.size, "weight")
    total = float(weight.sum())
    share, n_groups = min(1.0, float(rows @ weight) / total), int(codes.max()) + 1
    sums = np.bincount(codes, weights=weight * (rows - share)) / total
    effective, df = float(n_groups), max(1.0, n_groups - 1.0)
    if 0 < share < 1 and n_groups > 1:
        error, df = group_error(sums, np.bincount(codes, weights=weight) / total)
        effective = float(np.clip(share * (1 - share) / error**2, 1.0, rows.size)) if error > 0 else float(rows.size)
    critical = student_critical_value(level, df)
    low, high = (float(end) for end in wilson_interval(share, effective, critical=critical))
    agreed = wilson_interval(1.0, n_groups, critical=student_critical_value(level, max(1, n_groups - 1)))[0]
    low, high = min(low, float(agreed)), max(high, 1 - float(agreed))
    return ShareEstimate(share, low, high, int(rows.sum()), rows.size, n_groups)
