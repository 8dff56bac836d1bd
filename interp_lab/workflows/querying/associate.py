"""Which units go with which metric or label: every unit against every target, corrected over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import AssociateQuery, QueryRequest
from interp_lab.errors import LabelsUnusable
from interp_lab.reports.figures import Grid
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.block_association import (
    AUROC_INTERVAL,
    CORRELATION_INTERVAL,
    TEST,
    Association,
    Target,
    associate,
)
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.columns import Source, chosen_units, require_small_enough, unit_blocks
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.targets import Targets, find_targets
from interp_lab.workflows.querying.view import StoreView

LEVEL = 0.05
_MOST_NAMED = 40
_GRID_TARGETS = 40
_HEADERS = (
    ("unit", "index in the column"),
    ("target", "metric, or label=value against the other values"),
    (
        "measure",
        "r: Pearson correlation over rows; AUROC: probability that a row with the label is higher, 0.5 is none",
    ),
    ("estimate", "of the measure"),
    ("low", "95 % interval that counts independent groups"),
    ("high", "95 % interval"),
    ("q", "Benjamini-Hochberg over every unit and target tested"),
    ("d", "Cohen's d, with the label minus without"),
    ("rate_with", "share of rows with the label on which the unit is above 0"),
    ("rate_without", "the same without the label"),
    ("rows", "rows on which the target is known"),
    ("groups", "independent groups of those"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """Every test: one row per target, one column per unit."""

    units: Ints
    targets: tuple[Target, ...]
    found: tuple[Association, ...]
    q: Floats

    @property
    def signed_strength(self) -> Floats:
        """r, or 2 AUROC - 1: both from -1 to 1 `(n_targets, n_units)`."""
        return np.stack(
            [2 * f.estimate - 1 if t.is_label else f.estimate for t, f in zip(self.targets, self.found, strict=True)]
        )


def associations(view: StoreView, query: AssociateQuery, request: QueryRequest) -> Answer:
    """Return every unit-target pair, strongest first.

    Raises:
        LabelsUnusable: no target can be used; the message says why for each.
        QueryTooLarge: with a sample_rows that would do.
    """
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed)
    targets = find_targets(rows, query.targets, max_values=query.max_values)
    _require_some(targets)
    units = chosen_units(rows, query.column, query.units)
    require_small_enough(rows, query.column, units.size, passes=len(targets.usable) + 1)
    tested = run_tests(rows, query.column, units, targets.usable)
    order = _order(query, tested)
    groups = [target.n_groups(rows.clusters) for target in tested.targets]
    n_units = units.size

    def make(start: int, stop: int) -> Sequence[Row]:
        return [_row(tested, int(pair) // n_units, int(pair) % n_units, groups) for pair in order[start:stop]]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        return [] if not page else [_see(request, query, page[0][0])]

    return Answer(
        rows=rows,
        headers=_HEADERS,
        total=int(order.size),
        make=make,
        summary=_summary(query, tested, rows, order),
        facts=_facts(tested, targets, groups),
        warnings=[f"{each.name} was left out: {each.why}." for each in targets.left_out[:5]],
        actions=actions,
        figure=lambda start, stop: _figure(query, tested, order[start:stop]),
    )


def run_tests(rows: RowSet, key: str, units: Ints, targets: Sequence[Target]) -> Tested:
    """Return the association of every unit with every target."""
    parts: list[list[Association]] = [[] for _ in targets]
    for _, (block,) in unit_blocks([Source(rows, key)], units):
        for place, target in enumerate(targets):
            parts[place].append(associate(block, target))
    found = tuple(_joined(some) for some in parts)
    p = np.concatenate([each.p for each in found])
    return Tested(units, tuple(targets), found, benjamini_hochberg(p).reshape(len(found), units.size))


def _joined(parts: Sequence[Association]) -> Association:
    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    return Association(**{each.name: joined(each.name) for each in fields(Association)})


def _order(query: AssociateQuery, tested: Tested) -> Ints:
    strength = np.abs(tested.signed_strength)
    if query.sort == "unit":
        return np.arange(strength.size).reshape(strength.shape).T.ravel()
    keys = (-strength.ravel(),) if query.sort == "strength" else (-strength.ravel(), tested.q.ravel())
    return np.lexsort(keys)


def _row(tested: Tested, target: int, unit: int, groups: Sequence[int]) -> Row:
    about, found = tested.targets[target], tested.found[target]
    of_labels = found.d, found.rate_with, found.rate_without
    shown: list[JsonValue] = [None if values is None else number(float(values[unit])) for values in of_labels]
    return (
        int(tested.units[unit]),
        about.name,
        "AUROC" if about.is_label else "r",
        *(number(float(values[unit])) for values in (found.estimate, found.low, found.high)),
        number(float(tested.q[target, unit])),
        *shown,
        about.n_rows,
        groups[target],
    )


def _require_some(targets: Targets) -> None:
    if targets.usable:
        return
    reasons = "; ".join(f"{each.name}: {each.why}" for each in targets.left_out[:10]) or "the store has none"
    raise LabelsUnusable(
        f"No metric or label can be used: {reasons}.", remedy="Query 'overview' lists the metrics and labels."
    )


def _summary(query: AssociateQuery, tested: Tested, rows: RowSet, order: Ints) -> str:
    n_significant = int(np.count_nonzero(tested.q <= LEVEL))
    count = rows.count()
    best = ""
    if order.size and query.sort != "unit":
        target, unit = divmod(int(order[0]), tested.units.size)
        measure = "AUROC" if tested.targets[target].is_label else "r"
        estimate = tested.found[target].estimate[unit]
        best = f"; strongest: unit {tested.units[unit]} with {tested.targets[target].name}, {measure} {estimate:.3g}"
    return (
        f"{query.column}: {n_significant} of {tested.q.size} unit-target pairs have q <= {LEVEL} on {rows.n} rows of "
        f"{count.groups} independent groups{best}. Association only: it shows no cause, and nothing was held out."
    )


def _facts(tested: Tested, targets: Targets, groups: Sequence[int]) -> dict[str, Any]:
    used = [
        {"name": each.name, "rows": each.n_rows, "missing": int(each.known.size) - each.n_rows, "groups": n}
        for each, n in zip(tested.targets[:_MOST_NAMED], groups, strict=False)
    ]
    left_out = [{"name": each.name, "why": each.why} for each in targets.left_out[:_MOST_NAMED]]
    kinds = {each.is_label for each in tested.targets}
    methods = [AUROC_INTERVAL] * (True in kinds) + [CORRELATION_INTERVAL] * (False in kinds)
    return {"targets": used, "left_out": left_out, "intervals": methods, "test": TEST}


def _see(request: QueryRequest, query: AssociateQuery, unit: JsonValue) -> NextAction:
    return action(
        request, f"See where unit {unit} is strongest.", {"kind": "contexts", "column": query.column, "unit": unit}
    )


def _figure(query: AssociateQuery, tested: Tested, pairs: Ints) -> Grid:
    units = list(dict.fromkeys((pairs % tested.units.size).tolist()))
    strength = tested.signed_strength
    targets = np.argsort(-np.abs(strength[:, units]).max(axis=1), kind="stable")[:_GRID_TARGETS]
    return Grid(
        title=f"{query.column}: association of units with metrics and labels",
        note="r for metrics, 2 AUROC − 1 for labels: both −1 to 1, 0 is none. Association only, chosen by strength.",
        row_title="unit",
        column_title="target",
        row_names=tuple(str(int(tested.units[unit])) for unit in units),
        column_names=tuple(tested.targets[int(target)].name for target in targets),
        values=tuple(tuple(float(strength[target, unit]) for target in targets) for unit in units),
        scale="diverging",
    )
