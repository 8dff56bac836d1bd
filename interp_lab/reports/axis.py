"""The AUROC axis that everything drawn in a report shares: chance to perfect, lower only if something lies below."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

CHANCE = 0.5


class Axis(NamedTuple):
    """An AUROC axis from `low` to 1."""

    low: float

    def share(self, value: float) -> float:
        """Return where `value` lies between the two ends, 0 to 1, cut to the axis."""
        return (min(max(value, self.low), 1.0) - self.low) / (1.0 - self.low)

    def tenths(self) -> tuple[float, ...]:
        """Return the tenths on the axis, lowest first."""
        return tuple(tenth / 10 for tenth in range(round(self.low * 10), 11))


def axis_for(values: Iterable[float]) -> Axis:
    """Return the axis on which every given value fits: it starts at chance, or at the tenth below the lowest value."""
    lowest = min(values, default=CHANCE)
    return Axis(CHANCE) if lowest >= CHANCE else Axis(max(0.0, math.floor(lowest * 10 - 1e-9) / 10))
