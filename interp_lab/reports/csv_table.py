"""Reports as CSV, one unit or one edit a row: what a spreadsheet or a data frame reads; full precision, plain names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from interp_lab.contracts.inspect_causal import CausalEdit
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport, SplitStatistics
from interp_lab.contracts.intervene_report import EditCard, InterveneReport, UnitCard
from interp_lab.reports.heat import strongest_token
from interp_lab.reports.visible import visible

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SPLIT = ("auroc", "auroc_low", "auroc_high", "n_prompts", "n_groups", "cohens_d", "p_value", "q_value")
_INSPECT = (
    "rank", "address", "index", "sign", "grade", "reasons",
    *(f"{part}_{name}" for part in ("explore", "confirm") for name in _SPLIT),
    "density", "controlled_auroc", "provenance", "top_token",
    "association_grade", "n_edits", *(f"edit_{name}" for name in (
        "name", "strength", "metric", "counts", "reasons", "part", "n_prompts", "n_groups", "effect",
        "beyond_control", "beyond_control_low", "beyond_control_high", "q_value", "side_effect", "side_effect_bound",
        "provenance", "source",
    )),
)  # fmt: skip
_EDIT = (
    "unit", "address", "grade", "reasons", "edit", "where", "strength", "relative_size", "part", "n_prompts",
    "n_groups", "effect", "effect_low", "effect_high", "control", "beyond_control", "beyond_control_low",
    "beyond_control_high", "p_value", "q_value", "sign_consistency", "wrong_sign", "placebo", "detectable", "kl",
    "side_effect", "side_effect_upper", "side_effect_bound", "explore_auroc", "confirm_auroc", "provenance",
)  # fmt: skip

Cell = str | int | float | None


def inspect_csv(report: InspectReport) -> str:
    """Return one row per described coordinate, AUROCs as measured.

    Of an edited coordinate with the edit that counts, else the first, on confirm prompts where these were asked.
    """
    return _table(_INSPECT, (_coordinate(card) for card in report.coordinates))


def intervention_csv(report: InterveneReport) -> str:
    """Return one row per unit, edit and part of the prompts."""
    rows = (
        _edit(card, edit, part)
        for card in report.units
        for edit in card.edits
        for part in ("explore", *(("confirm",) if edit.confirm else ()))
    )
    return _table(_EDIT, rows)


def _coordinate(card: CoordinateCard) -> Sequence[Cell]:
    return (
        card.rank, card.address, card.index, card.sign, card.grade, " ".join(reason.code for reason in card.reasons),
        *_split(card.explore), *_split(card.confirm),
        card.density, card.controlled_auroc, card.provenance, strongest_token(card),
        card.association_grade, len(card.causal), *_deciding(card.causal),
    )  # fmt: skip


def _split(found: SplitStatistics | None) -> Sequence[Cell]:
    if found is None:
        return (None,) * len(_SPLIT)
    interval = found.auroc.interval
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    auroc = found.auroc
    return (
        auroc.value, low, high, auroc.n_prompts, auroc.n_groups, found.cohens_d, found.p_value, found.q_value,
    )  # fmt: skip


def _deciding(edits: Sequence[CausalEdit]) -> Sequence[Cell]:
    """What the edit that counts did, or the first if none does."""
    edit = next((each for each in edits if each.counts), edits[0] if edits else None)
    if edit is None:
        return (None,) * sum(name.startswith("edit_") for name in _INSPECT)
    found = edit.figures[-1] if edit.figures else None
    figures: Sequence[Cell] = (None,) * 8
    if found is not None:
        beyond = found.interval
        figures = (
            found.part, found.n_prompts, found.n_groups, found.effect,
            found.difference, beyond.low, beyond.high, found.q_value,
        )  # fmt: skip
    return (
        edit.edit, edit.strength, edit.metric, int(edit.counts), " ".join(edit.reasons), *figures,
        edit.side_effect, edit.side_effect_bound, edit.provenance, edit.source,
    )  # fmt: skip


def _edit(card: UnitCard, edit: EditCard, part: str) -> Sequence[Cell]:
    found = edit.confirm if part == "confirm" and edit.confirm is not None else edit.explore
    effect, beyond, side = found.effect_interval, found.difference_interval, edit.side_effects
    seen = card.association
    return (
        card.unit, card.address, card.grade, " ".join(reason.code for reason in card.reasons),
        edit.edit, edit.where, edit.strength, edit.relative_size, part, found.n_prompts, found.n_groups,
        found.effect, effect.low, effect.high, found.control, found.difference, beyond.low, beyond.high,
        found.p_value, found.q_value, found.sign_consistency, found.wrong_sign, found.placebo, found.detectable,
        found.kl, side.shift, side.shift_upper, side.bound,
        None if seen is None else seen.explore_auroc, None if seen is None else seen.confirm_auroc, card.provenance,
    )  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Cell) -> Cell:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
