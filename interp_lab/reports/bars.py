"""Geometry of bar charts: columns for counts, rows for figures with their intervals beside a control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.reports.numbers import short

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 420.0, 198.0, 52.0, 12.0, 22.0, 26.0
ROW, NAME, ROWS_WIDTH = 22.0, 172.0, 460.0
_LEAST, _MOST = -1.0, 2.0
"""Widest scale of rows: one far figure must not press all others together."""


class Column(NamedTuple):
    """One column of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str


class Foot(NamedTuple):
    """One label under the columns."""

    x: float
    label: str


class Columns(NamedTuple):
    """A histogram."""

    columns: tuple[Column, ...]
    feet: tuple[Foot, ...]
    highest: int


class Mark(NamedTuple):
    """One figure on a row: a point with its interval."""

    x: float
    low: float
    high: float
    control: bool
    title: str
    cut: str
    """An arrow to each side on which it goes on beyond the scale."""


class Row(NamedTuple):
    """One name and its marks."""

    y: float
    name: str
    marks: tuple[Mark, ...]


class Rows(NamedTuple):
    """Figures in rows over one scale."""

    rows: tuple[Row, ...]
    height: float
    zero: float
    one: float
    grid: tuple[tuple[float, str], ...]
    """Lines across, each with its label."""


class Value(NamedTuple):
    """A figure with its interval."""

    value: float
    low: float | None
    high: float | None
    control: bool
    title: str


def histogram(edges: Sequence[float], counts: Sequence[int], *, highest: int | None = None) -> Columns:
    """Return the columns of counts between edges, of equal width because the edges are of equal ratio.

    `highest` is the count that fills the plot, the largest unless it is shared with another histogram.
    """
    highest = max(counts, default=0) if highest is None else highest
    step = (WIDTH - LEFT - RIGHT) / max(1, len(counts))
    plot = HEIGHT - TOP - FOOT
    columns = tuple(
        Column(
            x=round(LEFT + place * step + 1, 1),
            y=round(TOP + plot * (1 - count / max(1, highest)), 1),
            width=round(step - 2, 1),
            height=round(plot * count / max(1, highest), 1),
            title=f"{short(edges[place])} to {short(edges[place + 1])}: {count}",
        )
        for place, count in enumerate(counts)
    )
    feet = tuple(
        Foot(round(LEFT + place * step, 1), f"{edge:.0e}") for place, edge in enumerate(edges) if place % 2 == 0
    )
    return Columns(columns, feet, highest)


def rows(values: Sequence[tuple[str, Sequence[Value]]]) -> Rows:
    """Return named figures on a scale from 0 to 1, wider where figures need it; what lies beyond -1 or 2 is marked."""
    ends = [
        end for _, marks in values for each in marks for end in (each.value, each.low, each.high) if end is not None
    ]
    low = max(_LEAST, math.floor(min(0.0, *ends, 0.0) * 4) / 4)
    high = min(_MOST, math.ceil(max(1.0, *ends, 1.0) * 4) / 4)
    drawn = tuple(
        Row(round(TOP + (place + 0.5) * ROW, 1), name, tuple(_mark(each, low, high) for each in marks))
        for place, (name, marks) in enumerate(values)
    )
    step = 0.25 if high - low <= 1.5 else 0.5  # more than seven labels would touch
    first, last = math.ceil(low / step), math.floor(high / step)
    grid = tuple((_across(at * step, low, high), f"{at * step:g}") for at in range(first, last + 1))
    return Rows(drawn, TOP + len(values) * ROW, _across(0.0, low, high), _across(1.0, low, high), grid)


def _mark(found: Value, least: float, most: float) -> Mark:
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    x, left, right = (_across(each, least, most) for each in (found.value, low, high))
    cut = ("◂" if min(low, found.value) < least else "") + ("▸" if max(high, found.value) > most else "")
    return Mark(x, left, right, found.control, found.title, cut)


def _across(value: float, low: float, high: float) -> float:
    return round(NAME + (min(max(value, low), high) - low) / (high - low) * (ROWS_WIDTH - NAME - RIGHT), 1)
