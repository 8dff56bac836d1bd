"""Where the marks of one coordinate lie on the AUROC axis that all coordinates of a report share."""

from __future__ import annotations

from typing import NamedTuple

from interp_lab.reports.axis import Axis
from interp_lab.reports.orientation import Oriented

WIDTH = 150.0
_MARGIN = 6.0


class Whisker(NamedTuple):
    """Horizontal positions: a ring for explore, a dot with a line for confirm and its interval."""

    explore: float
    confirm: float | None
    low: float | None
    high: float | None


def whisker(explore: Oriented, confirm: Oriented | None, axis: Axis) -> Whisker:
    """Return the marks of one coordinate."""
    low, high = (confirm.low, confirm.high) if confirm else (None, None)
    return Whisker(
        explore=position(explore.value, axis),
        confirm=position(confirm.value, axis) if confirm else None,
        low=None if low is None else position(low, axis),
        high=None if high is None else position(high, axis),
    )


def position(value: float, axis: Axis) -> float:
    """Return the horizontal position of an AUROC."""
    return round(_MARGIN + axis.share(value) * (WIDTH - 2 * _MARGIN), 1)
