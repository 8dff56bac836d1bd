"""How far the interval of a mean has to reach on either side where what is averaged has a tail.

The usual interval is too short on the side of a tail: a sample of few groups that has not seen the tail has too small a
mean and too small a spread at once. Effects have their tail away from none: most prompts show a little, some a lot.
That side is made long enough for exponential effects even where the sample shows no tail, because few groups cannot
show one. The side towards none, on which claims rest, is moved out as far as the sample itself is skewed that way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.distributions import normal_quantile
from interp_lab.statistics.group_error import Balance

_FEW_GROUPS = 1.3
"""Times the term of first order: exponential effects need at most 1.29, from 4 to 100 groups, at levels .9 to .995."""
_MOST_SKEWED = 2.0
"""Of an exponential distribution."""


class Reach(NamedTuple):
    """What half an interval is multiplied by, at least 1; one value per mean."""

    toward: Floats
    """On the side of zero."""
    away: Floats


def reach(mean: Floats, error: Floats, skewness: Floats, balance: Balance, *, level: float) -> Reach:
    """Return how far the interval of each mean has to reach, given its error and the skewness of its group sums.

    A distribution on one side of zero that is spread like a gamma distribution is skewed by twice its coefficient of
    variation, so that effects of one size, on every group, need no longer side.

    Source: Hall (1992), the skewness term of a Studentised mean; its exponential here, with a factor for few groups.
    """
    z = normal_quantile((1 + level) / 2)
    term = _FEW_GROUPS * (2 * z + 1 / z) / 6
    own = np.sqrt(balance.squares) * np.abs(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        presumed = np.where(own > 0, np.minimum(_MOST_SKEWED, 2 * error / own), _MOST_SKEWED) * balance.lopsided
    seen = np.sign(mean) * skewness
    return Reach(np.exp(term * np.maximum(-seen, 0.0)), np.exp(term * np.maximum(presumed, seen)))


def skewness_of(sums: Floats) -> Floats:
    """Return the skewness of a mean from what each group adds to it `(..., n_groups)`; 0 where nothing varies."""
    squares = (sums**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(squares > 0, (sums**3).sum(axis=-1) / squares**1.5, 0.0)
