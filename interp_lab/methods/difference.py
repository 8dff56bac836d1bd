"""The difference of two estimates that come with intervals: the interval follows from the two, whatever their shape."""

from __future__ import annotations

import math
from typing import NamedTuple

METHOD = "MOVER from the two intervals, taken as independent"


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def difference_of(right: Estimate, left: Estimate) -> Estimate:
    """Return right less left with its interval, at the level of the two.

    Exact for normal estimates that are independent; where both rest on the same prompts it is wider than needed, so
    what leaves 0 out differs all the same.

    Source: Zou and Donner (2008), method of variance estimates recovery.
    """
    value = right.value - left.value
    down = math.hypot(right.value - right.low, left.high - left.value)
    up = math.hypot(right.high - right.value, left.value - left.low)
    return Estimate(value, value - down, value + up)
