"""Geometry and colour of figures, prepared for the templates: where a mark lies and how strong its colour is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from interp_lab.reports.figures import Figure, Grid, TokenHeat, TokenLine
from interp_lab.reports.numbers import short

LEFT, RIGHT, PANEL, GAP, LABELS = 64.0, 16.0, 110.0, 30.0, 92.0
_LEAST_WIDTH = 640.0
_MOST_LABELLED = 120


class Shade(NamedTuple):
    """The colour of one cell: how far towards its end of the scale, and which end."""

    share: str
    negative: bool
    text: str
    """The value as it is written; nothing where there is none."""


class Panel(NamedTuple):
    """One series of a line plot."""

    name: str
    top: float
    points: tuple[str, ...]
    """Runs of neighbouring points, ready for polylines: a missing value ends a run."""
    zero_y: float | None
    high: str
    low: str


class Stop(NamedTuple):
    """One token of a line plot: where it is and what is read there."""

    x: float
    label: str
    title: str


class LineView(NamedTuple):
    """A line plot."""

    kind: Literal["line"]
    width: float
    height: float
    step: float
    labelled: bool
    panels: tuple[Panel, ...]
    stops: tuple[Stop, ...]


class HeatRow(NamedTuple):
    """One prompt of a token heat map."""

    label: str
    tokens: tuple[tuple[str, Shade, bool], ...]
    """Text, colour, and whether it is the token that chose the prompt."""


class HeatView(NamedTuple):
    """A token heat map."""

    kind: Literal["heat"]
    rows: tuple[HeatRow, ...]
    high: str
    low: str


class GridView(NamedTuple):
    """A matrix."""

    kind: Literal["grid"]
    rows: tuple[tuple[str, tuple[Shade, ...]], ...]
    high: str
    low: str


def figure_view(figure: Figure) -> LineView | HeatView | GridView:
    """Return everything the templates need of a figure."""
    if isinstance(figure, TokenLine):
        return _line(figure)
    return _heat(figure) if isinstance(figure, TokenHeat) else _grid(figure)


def _line(figure: TokenLine) -> LineView:
    n = max(1, len(figure.tokens))
    step = round(max(4.0, min(28.0, 2400.0 / n)), 2)
    panels = tuple(_panel(name, values, place, step) for place, (name, values) in enumerate(figure.series))
    labelled = n <= _MOST_LABELLED
    height = (PANEL + GAP) * len(panels) + (LABELS if labelled else 14.0)
    stops = tuple(_stop(figure, place, step) for place in range(len(figure.tokens)))
    return LineView("line", max(_LEAST_WIDTH, LEFT + n * step + RIGHT), height, step, labelled, panels, stops)


def _panel(name: str, values: Sequence[float | None], place: int, step: float) -> Panel:
    low, high = _ends(value for value in values if value is not None)
    top = round(place * (PANEL + GAP) + GAP - 6, 1)
    reach = (high - low) or 1.0

    def y(value: float) -> float:
        return round(top + PANEL * (1 - (value - low) / reach), 1)

    runs: list[list[str]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_x(at, step):g},{y(value):g}")
    zero = y(0.0) if low <= 0 <= high else None
    return Panel(name, top, tuple(" ".join(run) for run in runs if run), zero, short(high), short(low))


def _stop(figure: TokenLine, place: int, step: float) -> Stop:
    read = ", ".join(
        f"{name} {'none' if values[place] is None else short(values[place] or 0.0)}" for name, values in figure.series
    )
    token = figure.tokens[place]
    shown = f"“{token}” " if token else ""
    return Stop(_x(place, step), token or str(figure.positions[place]), f"{shown}at {figure.positions[place]}: {read}")


def _x(place: int, step: float) -> float:
    return round(LEFT + (place + 0.5) * step, 2)


def _heat(figure: TokenHeat) -> HeatView:
    values = [value for row in figure.rows for value in row.values]
    reach = max((abs(value) for value in values), default=0.0)
    rows = tuple(
        HeatRow(
            row.label,
            tuple(
                (token, _shade(value, 0.0, reach), place == row.peak)
                for place, (token, value) in enumerate(zip(row.tokens, row.values, strict=True))
            ),
        )
        for row in figure.rows
    )
    return HeatView("heat", rows, short(max(values, default=0.0)), short(min(values, default=0.0)))


def _grid(figure: Grid) -> GridView:
    low, high = _ends(value for row in figure.values for value in row if value is not None)
    middle = low if figure.scale == "rising" else figure.middle
    reach = max(high - middle, middle - low)
    rows = tuple(
        (name, tuple(_shade(value, middle, reach) for value in row))
        for name, row in zip(figure.row_names, figure.values, strict=True)
    )
    return GridView("grid", rows, short(high), short(low))


def _shade(value: float | None, middle: float, reach: float) -> Shade:
    if value is None:
        return Shade("0", negative=False, text="")
    share = min(1.0, abs(value - middle) / reach) if reach else 0.0
    return Shade(f"{share:.3f}", negative=value < middle, text=short(value))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return min(found, default=0.0), max(found, default=0.0)
