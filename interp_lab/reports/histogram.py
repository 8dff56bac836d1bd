"""Geometry of a histogram: bars in a box, with square-root heights so that rare values can be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from interp_lab.reports.numbers import count, short

WIDTH, HEIGHT, FOOT = 460.0, 120.0, 18.0


class Bar(NamedTuple):
    """One bin."""

    x: float
    y: float
    width: float
    height: float
    read: str
    """What it says when it is pointed at."""


class HistogramView(NamedTuple):
    """Bars, and the ends of the axis."""

    bars: tuple[Bar, ...]
    low: str
    high: str
    zero_x: float | None
    """Where zero lies, if it is inside."""


def histogram_view(counts: Sequence[int], edges: Sequence[float], what: str) -> HistogramView:
    """Return the bars of some counts between ascending edges; `what` names what is counted."""
    most = max([*counts, 1])
    low, high = edges[0], edges[-1]
    reach = (high - low) or 1.0

    def x(value: float) -> float:
        return round((value - low) / reach * WIDTH, 2)

    bars = tuple(
        Bar(
            x(start),
            round(HEIGHT * (1 - math.sqrt(n / most)), 2),
            round(max(1.0, x(stop) - x(start) - 1), 2),
            round(HEIGHT * math.sqrt(n / most), 2),
            f"{short(start)} to {short(stop)}: {count(n)} {what}",
        )
        for n, (start, stop) in zip(counts, pairwise(edges), strict=True)
    )
    return HistogramView(bars, short(low), short(high), x(0.0) if low < 0 < high else None)
