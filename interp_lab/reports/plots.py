"""Geometry of the plots of reports: effect against q, dose response, effects with their intervals beside controls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from interp_lab.contracts.doses import DosePoint
from interp_lab.contracts.inspect_report import InspectReport, MapCell
from interp_lab.contracts.intervene_report import EditCard, InterveneReport
from interp_lab.reports.numbers import chance, short

LEFT, RIGHT, TOP, FOOT = 46.0, 16.0, 12.0, 34.0
VOLCANO_WIDTH, VOLCANO_HEIGHT = 640.0, 300.0
DOSE_WIDTH, DOSE_HEIGHT = 320.0, 190.0
FOREST_WIDTH, FOREST_ROW, FOREST_NAME = 640.0, 26.0, 230.0
HIGHEST = 12.0
"""-log10 of q from which points lie on the upper edge."""
_CELL = 5.0
_NAMED = 10
"""Points of a volcano plot that carry their name, where there is room for it."""
_NAME_LENGTH, _LETTER, _LINE = 34, 6.2, 12.0
"""Characters of a name, and the room that a character and a line take."""


class Scale(NamedTuple):
    """A linear axis: values from `low` to `high` lie from `start` over `length` (negative: upwards)."""

    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        """Return where a value lies, cut to the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * self.length, 1)


class Tick(NamedTuple):
    """One labelled place on an axis."""

    at: float
    label: str


class Shade(NamedTuple):
    """All bins of unnamed points that hold about as many: the more, the darker."""

    opacity: float
    path: str


class Dot(NamedTuple):
    """One described unit."""

    x: float
    y: float
    card: int
    called: bool
    """Beyond chance, or beyond its control."""
    title: str
    name: str
    """Shown beside it; empty where there is no room."""
    end: bool
    """The name ends at the dot instead of starting there."""


class Volcano(NamedTuple):
    """Effect to the right, -log10 of q upwards."""

    shades: tuple[Shade, ...]
    dots: tuple[Dot, ...]
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    zero: float
    level: float


class DosePlot(NamedTuple):
    """Effect of one edit over its strength, with interval, control and side effect."""

    title: str
    note: str
    effect: str
    band: str
    control: str
    side: str
    dots: tuple[tuple[float, float, str], ...]
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    zero: float
    chosen: float


class ForestRow(NamedTuple):
    """One edit of one unit."""

    y: float
    name: str
    low: float
    high: float
    confirm: float | None
    explore: float
    control: float
    called: bool
    card: int
    title: str


class Forest(NamedTuple):
    """Effects in rows over one scale."""

    rows: tuple[ForestRow, ...]
    height: float
    zero: float
    xs: tuple[Tick, ...]


def upwards(q: float) -> float:
    """Return -log10 of q, at most `HIGHEST`."""
    return HIGHEST if q <= 10**-HIGHEST else max(0.0, -math.log10(q))


def association_volcano(report: InspectReport) -> Volcano | None:
    """Return every coordinate tested as a cell, and the described ones as dots; None if the report kept no map."""
    found = report.association_map
    if not found:
        return None
    points = [
        (card.explore.auroc.value, card.explore.q_value)
        for card in report.coordinates
        if card.explore.q_value is not None
    ]
    reach = max(0.1, *(abs(c.auroc - 0.5) for c in found), *(abs(a - 0.5) for a, _ in points), 0.0) + 0.02
    x, y = _axes((0.5 - reach, 0.5 + reach), [c.log_q for c in found] + [upwards(q) for _, q in points])
    dots = _dots(
        (
            (place, card.explore.auroc.value, card.explore.q_value, f"{card.address} #{card.index}",
             card.explore.q_value <= report.q_level)
            for place, card in enumerate(report.coordinates) if card.explore.q_value is not None
        ),
        x, y, "AUROC",
    )  # fmt: skip
    return _volcano(_shades(found, x, y), dots, x, y, middle=0.5, level=report.q_level)


def _shades(cells: Sequence[MapCell], x: Scale, y: Scale) -> tuple[Shade, ...]:
    most, half = max(cell.n for cell in cells), _CELL / 2
    paths: dict[float, list[str]] = {}
    for cell in cells:
        opacity = round(0.15 + 0.75 * round(8 * math.log1p(cell.n) / math.log1p(most)) / 8, 2)
        corner = f"M{x.at(cell.auroc) - half:g} {y.at(cell.log_q) - half:g}"
        paths.setdefault(opacity, []).append(f"{corner}h{_CELL:g}v{_CELL:g}h-{_CELL:g}z")
    return tuple(Shade(opacity, "".join(path)) for opacity, path in sorted(paths.items()))


def effect_volcano(report: InterveneReport, level: float) -> Volcano | None:
    """Return every edit of every unit on the part that grades it; None for a report without units."""
    rows = [(place, card.unit, edit) for place, card in enumerate(report.units) for edit in card.edits]
    if not rows:
        return None
    values = [(edit.confirm or edit.explore).effect for _, _, edit in rows]
    reach = (max(map(abs, values)) or 1.0) * 1.15
    x, y = _axes((-reach, reach), [upwards((edit.confirm or edit.explore).q_value) for _, _, edit in rows])
    dots = _dots(
        (
            (place, (edit.confirm or edit.explore).effect, (edit.confirm or edit.explore).q_value,
             f"{unit} {edit.edit}", beyond_control(edit, level))
            for place, unit, edit in rows
        ),
        x, y, report.behaviour.unit,
    )  # fmt: skip
    return _volcano((), dots, x, y, middle=0.0, level=level)


def beyond_control(edit: EditCard, level: float) -> bool:
    """Return whether an edit exceeds its control on confirm prompts."""
    found = edit.confirm
    if found is None or found.q_value > level:
        return False
    return found.difference_interval.low > 0 or found.difference_interval.high < 0


def dose_plots(report: InterveneReport) -> tuple[DosePlot, ...]:
    """Return a plot for every edit that was made at several strengths."""
    return tuple(
        dose_response(card.unit, f"{edit.edit}, at {edit.where} tokens", edit.doses, chosen=edit.strength)
        for card in report.units
        for edit in card.edits
        if len(edit.doses) > 1
    )


def forest(report: InterveneReport, level: float) -> Forest:
    """Return all effects with their intervals beside their controls."""
    rows = [(place, card.unit, edit) for place, card in enumerate(report.units) for edit in card.edits]
    ends = [end for _, _, edit in rows for end in _ends(edit)]
    x = Scale(*_padded(ends), FOREST_NAME, FOREST_WIDTH - FOREST_NAME - RIGHT)
    made = tuple(
        ForestRow(
            y=TOP + n * FOREST_ROW + FOREST_ROW / 2,
            name=f"{unit} · {edit.edit}"[:38],
            low=x.at((edit.confirm or edit.explore).effect_interval.low),
            high=x.at((edit.confirm or edit.explore).effect_interval.high),
            confirm=None if edit.confirm is None else x.at(edit.confirm.effect),
            explore=x.at(edit.explore.effect),
            control=x.at((edit.confirm or edit.explore).control),
            called=beyond_control(edit, level),
            card=place,
            title=_told(unit, edit, report.behaviour.unit),
        )
        for n, (place, unit, edit) in enumerate(rows)
    )
    return Forest(made, TOP + len(rows) * FOREST_ROW + FOOT - 8, x.at(0.0), _ticks(x))


def _ends(edit: EditCard) -> Iterable[float]:
    found = edit.confirm or edit.explore
    return (found.effect_interval.low, found.effect_interval.high, edit.explore.effect, found.control, 0.0)


def _told(unit: str, edit: EditCard, measure: str) -> str:
    found = edit.confirm or edit.explore
    low, high = found.effect_interval.low, found.effect_interval.high
    return (
        f"{unit}, {edit.edit}: {short(found.effect)} {measure} [{short(low)}, {short(high)}], control "
        f"{short(found.control)}, explore {short(edit.explore.effect)}, {found.n_groups} groups"
    )


def dose_response(title: str, note: str, found: Iterable[DosePoint], *, chosen: float) -> DosePlot:
    """Return the effect of one edit over its strengths, of which one was chosen."""
    doses = sorted(found, key=lambda dose: dose.strength)
    x = Scale(0.0, doses[-1].strength * 1.05, LEFT, DOSE_WIDTH - LEFT - RIGHT)
    ends = [end for d in doses for end in (d.low, d.high, d.control, d.side_effect, 0.0)]
    y = Scale(*_padded(ends), DOSE_HEIGHT - FOOT, -(DOSE_HEIGHT - FOOT - TOP))
    upper = [f"{x.at(d.strength):g},{y.at(d.high):g}" for d in doses]
    lower = [f"{x.at(d.strength):g},{y.at(d.low):g}" for d in reversed(doses)]
    return DosePlot(
        title=title,
        note=note,
        effect=_line(doses, x, y, "effect"),
        band=" ".join([*upper, *lower]),
        control=_line(doses, x, y, "control"),
        side=_line(doses, x, y, "side_effect"),
        dots=tuple((x.at(d.strength), y.at(d.effect), f"{d.strength:g}: {short(d.effect)}") for d in doses),
        xs=tuple(Tick(x.at(d.strength), f"{d.strength:g}") for d in doses),
        ys=_ticks(y),
        zero=y.at(0.0),
        chosen=x.at(chosen),
    )


def _line(doses: Sequence[DosePoint], x: Scale, y: Scale, field: str) -> str:
    return " ".join(f"{x.at(d.strength):g},{y.at(float(getattr(d, field))):g}" for d in doses)


def _axes(across: tuple[float, float], heights: Sequence[float]) -> tuple[Scale, Scale]:
    x = Scale(*across, LEFT, VOLCANO_WIDTH - LEFT - RIGHT)
    y = Scale(0.0, max(2.0, *heights) * 1.06, VOLCANO_HEIGHT - FOOT, -(VOLCANO_HEIGHT - FOOT - TOP))
    return x, y


def _dots(rows: Iterable[tuple[int, float, float, str, bool]], x: Scale, y: Scale, measure: str) -> tuple[Dot, ...]:
    found = [(place, x.at(value), y.at(upwards(q)), name, (value, q, called)) for place, value, q, name, called in rows]
    taken = [(at - _CELL, at + _CELL, height) for _, at, height, _, _ in found]
    made: list[Dot] = []
    named = 0
    for place, at, height, name, (value, q, called) in found:
        shown, end = name[:_NAME_LENGTH], at > VOLCANO_WIDTH / 2
        low, high = (at - 8 - _LETTER * len(shown), at - 8) if end else (at + 8, at + 8 + _LETTER * len(shown))
        free = named < _NAMED and all(abs(height - h) > _LINE or high < left or right < low for left, right, h in taken)
        if free:
            named += 1
            taken.append((low, high, height))
        title = f"{name}: {short(value)} {measure}, q {chance(q)}"
        made.append(Dot(at, height, place, called, title, shown if free else "", end))
    return tuple(made)


def _volcano(
    shades: tuple[Shade, ...], dots: tuple[Dot, ...], x: Scale, y: Scale, *, middle: float, level: float
) -> Volcano:
    heights = tuple(Tick(y.at(n), f"1e-{n}" if n else "1") for n in range(0, int(y.high) + 1, 1 + int(y.high) // 6))
    return Volcano(shades, dots, _ticks(x), heights, x.at(middle), y.at(upwards(level)))


def _padded(ends: Sequence[float]) -> tuple[float, float]:
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    room = (high - low) * 0.06 or 1.0
    return low - room, high + room


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return four to eight round values."""
    span = scale.high - scale.low
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 8)
    first = math.ceil(scale.low / step)
    values = [n * step for n in range(first, math.floor(scale.high / step) + 1)]
    return tuple(Tick(scale.at(value), f"{round(value, 10):g}".replace("-", "−")) for value in values)
