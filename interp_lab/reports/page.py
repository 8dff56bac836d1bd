"""What the templates show, prepared: every coordinate with its orientation, marks, heat maps and top token."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from interp_lab.contracts.base import Grade
from interp_lab.contracts.inspect_report import Confound, Context, CoordinateCard, InspectReport, LayerRow
from interp_lab.reports.axis import CHANCE, Axis, axis_for
from interp_lab.reports.grades import GRADES
from interp_lab.reports.heat import Heat, Scale, heat, scale_of, strongest_token, windowed
from interp_lab.reports.orientation import Oriented, oriented, turned
from interp_lab.reports.plots import DosePlot, dose_response
from interp_lab.reports.profile import Panel, panels
from interp_lab.reports.whisker import Whisker, position, whisker

PAGE_TOKENS = 12_000
"""Tokens shown on one page; above it, later contexts are shown only around their peak."""
FULL_CONTEXTS = 2
"""Contexts of each coordinate that are always shown in full."""
LEAST_WINDOW = 9


class CardView(NamedTuple):
    """One coordinate as the templates show it."""

    number: int
    """Position in the report's list of coordinates; names the card's anchor."""
    card: CoordinateCard
    explore: Oriented
    confirm: Oriented | None
    controlled: float | None
    whisker: Whisker
    top_token: str
    scale: Scale
    heats: tuple[Heat, ...]
    trimmed: bool
    """Later contexts are shown only around their peak; report.json has them in full."""
    doses: tuple[DosePlot, ...]
    """Interventions at several strengths."""


class PageView(NamedTuple):
    """A report as the templates show it."""

    report: InspectReport
    chance_x: float
    """Where chance lies on the whiskers."""
    cards: tuple[CardView, ...]
    panels: tuple[Panel, ...]
    strongest_layers: tuple[tuple[int, LayerRow], ...]
    """Position in the report and row of the strongest addresses on explore prompts."""
    grade_counts: dict[Grade, int]
    """Every grade, strongest first, with the number of shown coordinates that have it."""
    confounds: tuple[tuple[int, Confound], ...]
    """Position in the report and confound, strongest first."""
    interval_note: str
    """Level and method of the intervals."""


def page_view(report: InspectReport) -> PageView:
    """Return everything the templates need of `report`."""
    axis = axis_for(_shown_aurocs(report))
    width = _window_width(report)
    counts = Counter(card.grade for card in report.coordinates)
    strongest_first = sorted(enumerate(report.audit.confounds), key=lambda item: -item[1].auroc.value)
    return PageView(
        report=report,
        chance_x=position(CHANCE, axis),
        cards=tuple(_card_view(number, card, axis, width) for number, card in enumerate(report.coordinates)),
        panels=panels(report.layers, report.coordinates),
        strongest_layers=tuple(sorted(enumerate(report.layers), key=lambda item: -item[1].best_auroc)[:7]),
        grade_counts={grade: counts[grade] for grade in GRADES},
        confounds=tuple(strongest_first),
        interval_note=_interval_note(report),
    )


def _card_view(number: int, card: CoordinateCard, axis: Axis, width: int | None) -> CardView:
    explore = oriented(card.explore.auroc, card.sign)
    confirm = oriented(card.confirm.auroc, card.sign) if card.confirm else None
    scale = scale_of(card.contexts)
    return CardView(
        number=number,
        card=card,
        explore=explore,
        confirm=confirm,
        controlled=None if card.controlled_auroc is None else turned(card.controlled_auroc, card.sign),
        whisker=whisker(explore, confirm, axis),
        top_token=strongest_token(card),
        scale=scale,
        heats=tuple(heat(context, window, scale) for context, window in _windows(card, width)),
        trimmed=width is not None and len(card.contexts) > FULL_CONTEXTS,
        doses=tuple(
            dose_response(f"{card.address} #{card.index}", edit.edit, edit.doses, chosen=edit.strength or 0.0)
            for edit in card.causal
            if len(edit.doses) > 1
        ),
    )


def _windows(card: CoordinateCard, width: int | None) -> list[tuple[Context, slice]]:
    return [
        (context, windowed(context, None if place < FULL_CONTEXTS else width))
        for place, context in enumerate(card.contexts)
    ]


def _window_width(report: InspectReport) -> int | None:
    contexts = [(place, context) for card in report.coordinates for place, context in enumerate(card.contexts)]
    full = sum(len(context.tokens) for place, context in contexts if place < FULL_CONTEXTS)
    later = [context for place, context in contexts if place >= FULL_CONTEXTS]
    if full + sum(len(context.tokens) for context in later) <= PAGE_TOKENS:
        return None
    return max(LEAST_WINDOW, (PAGE_TOKENS - full) // max(1, len(later)))


def _shown_aurocs(report: InspectReport) -> list[float]:
    shown = [oriented(card.explore.auroc, card.sign).value for card in report.coordinates]
    confirmed = [oriented(card.confirm.auroc, card.sign) for card in report.coordinates if card.confirm]
    return shown + [value for each in confirmed for value in each if value is not None]


def _interval_note(report: InspectReport) -> str:
    for card in report.coordinates:
        for split in (card.confirm, card.explore):
            if split and split.auroc.interval:
                return f"{split.auroc.interval.level:.0%} intervals: {split.auroc.interval.method}"
    return ""
