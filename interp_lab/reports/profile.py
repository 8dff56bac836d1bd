"""Geometry of the layer profile: one panel per hook point, depth to the right, AUROC upwards, significance below."""

from __future__ import annotations

import math
from typing import NamedTuple, get_args

from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.contracts.inspect_report import CoordinateCard, LayerRow
from interp_lab.errors import LabError
from interp_lab.points import Address
from interp_lab.reports.axis import CHANCE, Axis, axis_for

LEFT, RIGHT, TOP = 34.0, 14.0, 14.0
PLOT, GAP, BARS, FOOT = 150.0, 12.0, 34.0, 22.0
HEIGHT = TOP + PLOT + GAP + BARS + FOOT


class Mark(NamedTuple):
    """One address in its panel."""

    number: int
    """Position in the report's list of layers."""
    row: LayerRow
    label: str
    """Layer number, shown under the mark when there is room."""
    x: float
    explore_y: float
    confirm_y: float | None
    bar: float
    """Height of the significance bar, growing with the square root of the count."""
    card: int | None
    """Position of the card that describes the best coordinate, when there is one."""


class Tick(NamedTuple):
    """One labelled line of the AUROC axis."""

    y: float
    label: str


class Panel(NamedTuple):
    """All addresses of one hook point in order of depth."""

    title: str
    width: float
    step: float
    chance_y: float
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]

    @property
    def line(self) -> str:
        """Points of the explore line, ready for a polyline."""
        return " ".join(f"{mark.x:g},{mark.explore_y:g}" for mark in self.marks)


def panels(layers: tuple[LayerRow, ...], coordinates: tuple[CoordinateCard, ...]) -> tuple[Panel, ...]:
    """Return the panels of a report; all share one AUROC axis and one scale of significance."""
    axis = axis_for(value for row in layers for value in (row.best_auroc, row.best_confirm_auroc) if value is not None)
    most = max((row.n_significant for row in layers), default=0)
    cards = {(card.address, card.index): number for number, card in enumerate(coordinates)}
    groups: dict[str, list[Mark]] = {}
    for number, row in enumerate(layers):
        title, label = _title_and_label(row.address)
        mark = _mark(row, axis, most)._replace(
            number=number, label=label, card=cards.get((row.address, row.best_index))
        )
        groups.setdefault(title, []).append(mark)
    return tuple(_panel(title, marks, axis) for title, marks in groups.items())


def _mark(row: LayerRow, axis: Axis, most: int) -> Mark:
    return Mark(
        number=0,
        row=row,
        label="",
        x=0.0,
        explore_y=_y(row.best_auroc, axis),
        confirm_y=None if row.best_confirm_auroc is None else _y(row.best_confirm_auroc, axis),
        bar=round(BARS * math.sqrt(row.n_significant / most), 1) if most else 0.0,
        card=None,
    )


def _panel(title: str, marks: list[Mark], axis: Axis) -> Panel:
    step = round(min(30.0, max(6.0, 480.0 / len(marks))), 1)
    labelled = max(1, math.ceil(22 / step))
    placed = tuple(
        mark._replace(x=round(LEFT + step * (place + 0.5), 1), label="" if place % labelled else mark.label)
        for place, mark in enumerate(marks)
    )
    ticks = tuple(Tick(_y(tenth, axis), f"{tenth:.1f}") for tenth in axis.tenths())
    return Panel(title, max(LEFT + step * len(marks) + RIGHT, 140.0), step, _y(CHANCE, axis), ticks, placed)


def _y(value: float, axis: Axis) -> float:
    return round(TOP + PLOT * (1.0 - axis.share(value)), 1)


def _title_and_label(address: str) -> tuple[str, str]:
    text, slash, read = address.partition("/")
    try:
        place = Address.parse(text)
    except LabError:
        return "other places", ""
    if place.layer is None:
        return "other places", place.point if place.point != "module" else ""
    method = read.rpartition("-")[0]
    what = method.replace("_", " ") if method in get_args(LearnedMethod) else "latents"
    return f"{place.point} {what}" if slash else place.point, str(place.layer)
