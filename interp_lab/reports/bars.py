"""Geometry of bar charts: columns for counts, rows for figures with their intervals beside a control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.reports.numbers import short

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 420.0, 198.0, 52.0, 12.0, 22.0, 26.0
ROW, NAME, ROWS_WIDTH = 22.0, 172.0, 460.0


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
    """Return named figures on a scale from 0 to 1; what lies outside is drawn at its end."""
    drawn = tuple(
        Row(round(TOP + (place + 0.5) * ROW, 1), name, tuple(_mark(each) for each in marks))
        for place, (name, marks) in enumerate(values)
    )
    grid = tuple((_across(at), f"{at:g}") for at in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Rows(drawn, TOP + len(values) * ROW, _across(0.0), _across(1.0), grid)


def _mark(found: Value) -> Mark:
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    return Mark(_across(found.value), _across(low), _across(high), found.control, found.title)


def _across(value: float) -> float:
    return round(NAME + min(max(value, 0.0), 1.0) * (ROWS_WIDTH - NAME - RIGHT), 1)
