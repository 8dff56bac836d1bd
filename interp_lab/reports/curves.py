"""Geometry of learning curves: lines over a shared horizontal axis, each panel with a scale of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interp_lab.reports.numbers import MINUS

LEFT, RIGHT, TOP, FOOT = 52.0, 12.0, 22.0, 26.0
WIDTH, PLOT = 420.0, 150.0
HEIGHT = TOP + PLOT + FOOT
MOST_POINTS = 400
"""Points drawn of one line; of more, the evenly spaced ones and the last."""
MOST_LINES = 8
"""Lines told apart by colour in one panel."""

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """One curve, ready for a polyline."""

    name: str
    colour: int
    """Index into the palette of the page."""
    points: str
    """Coordinates as SVG wants them."""
    last: float
    """Value at the last point."""


class Tick(NamedTuple):
    """One labelled place on an axis."""

    at: float
    label: str


class Panel(NamedTuple):
    """One quantity: all its curves on one scale."""

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    feet: tuple[Tick, ...]


class _Scale(NamedTuple):
    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        share = 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)
        return round(self.start + share * self.length, 1)


def panel(title: str, curves: Mapping[str, Points]) -> Panel | None:
    """Return the panel of some named curves, or None if no point is finite; values that are not finite are left out."""
    kept = {name: thinned([p for p in points if math.isfinite(p[1])]) for name, points in curves.items()}
    kept = {name: points for name, points in kept.items() if points}
    if not kept:
        return None
    xs = [x for points in kept.values() for x, _ in points]
    ys = [y for points in kept.values() for _, y in points]
    across = _Scale(min(0.0, *xs), max(xs), LEFT, WIDTH - LEFT - RIGHT)
    upwards = _Scale(min(ys), max(ys), TOP + PLOT, -PLOT)
    lines = tuple(
        Line(
            name=name,
            colour=place % MOST_LINES,
            points=" ".join(f"{across.at(x):g},{upwards.at(y):g}" for x, y in points),
            last=points[-1][1],
        )
        for place, (name, points) in enumerate(kept.items())
    )
    return Panel(title, lines, _ticks(upwards), _ticks(across))


def thinned(points: Points) -> Points:
    """Return at most `MOST_POINTS` of the points, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(place * step)] for place in range(MOST_POINTS)]


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    if scale.low == scale.high:
        return (Tick(scale.at(scale.low), _label(scale.low)),)
    values = [scale.low + (scale.high - scale.low) * part / 4 for part in range(5)]
    return tuple(Tick(scale.at(value), _label(value)) for value in values)


def _label(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS)
