"""Means of units at every value of a label, or on every token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import LevelsQuery, QueryRequest
from interp_lab.errors import LabelsUnusable
from interp_lab.reports.figures import Grid
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.block_association import standardised
from interp_lab.statistics.level_means import level_means
from interp_lab.store.arrow import arrow
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.columns import (
    Source,
    chosen_units,
    require_small_enough,
    unit_blocks,
    unit_values,
)
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.targets import field_values
from interp_lab.workflows.querying.texts import TOKEN_CHARS, clipped_apart
from interp_lab.workflows.querying.view import StoreView

MOST_LEVELS = 12
"""Values that are shown side by side when there are several units: those with the most rows."""
_GRID_UNITS = 60

_ONE_UNIT = (
    ("value", "of the field"),
    ("mean", "activation on its rows"),
    ("low", "95 % interval of the mean, Student t over independent groups; absent for one group"),
    ("high", "95 % interval"),
    ("max", "largest activation"),
    ("rows", "rows with the value"),
    ("groups", "independent groups of those"),
)


class Levels(NamedTuple):
    """The values of a field over rows in the order of `RowSet.by_group`."""

    names: tuple[str, ...]
    codes: Ints
    """-1 where the value is missing or too rare."""
    n_rare: int
    """Values that were left out as too rare."""


def levels(view: StoreView, query: LevelsQuery, request: QueryRequest) -> Answer:
    """Return means by value: a row per value for one unit, a row per unit for several.

    Raises:
        LabelsUnusable: fewer than two values are frequent enough.
    """
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed)
    units = chosen_units(rows, query.column, query.units)
    found = _levels(rows, query, most=None if units.size == 1 else MOST_LEVELS)
    if units.size == 1:
        return _of_one_unit(rows, query, int(units[0]), found)
    require_small_enough(rows, query.column, units.size, passes=1)
    return _of_many(rows, query, units, found=found, request=request)


def _levels(rows: RowSet, query: LevelsQuery, *, most: int | None) -> Levels:
    if query.by == "token":
        vocabulary = rows.view.tokens
        codes, names = vocabulary.codes[rows.by_group], vocabulary.texts
    else:
        values = field_values(rows, query.by)
        if arrow().types.is_nested(values.type):
            raise LabelsUnusable(f"{query.by} holds {values.type}, which is no single value per row.")
        encoded = values.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        names = encoded.dictionary
    count = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.flatnonzero(count >= query.min_count)
    if most is not None:
        kept = np.sort(kept[np.argsort(-count[kept], kind="stable")[:most]])
    if kept.size < 2:
        raise LabelsUnusable(
            f"{query.by} has {kept.size} values seen on at least {query.min_count} rows; two are needed.",
            remedy="Lower min_count, or choose another field.",
        )
    number_of = np.full(len(names) + 1, -1)
    number_of[kept] = np.arange(kept.size)
    shown = clipped_apart([str(names[int(code)].as_py()) for code in kept], TOKEN_CHARS)
    return Levels(shown, number_of[codes], int(np.count_nonzero(count)) - kept.size)


def _of_one_unit(rows: RowSet, query: LevelsQuery, unit: int, found: Levels) -> Answer:
    values = unit_values(rows, query.column, np.array([unit]))[0]
    means = level_means(values, found.codes, rows.clusters.codes, n_levels=len(found.names))
    order = np.argsort(-means.mean, kind="stable")

    def row(level: int) -> Row:
        bounds: list[JsonValue] = [None, None]
        if means.n_groups[level] >= 2:
            bounds = [number(float(means.low[level])), number(float(means.high[level]))]
        sizes = int(means.count[level]), int(means.n_groups[level])
        return (
            found.names[level],
            number(float(means.mean[level])),
            *bounds,
            number(float(means.maximum[level])),
            *sizes,
        )

    best = int(order[0])
    return Answer(
        rows=rows,
        headers=_ONE_UNIT,
        total=int(order.size),
        make=lambda start, stop: [row(int(level)) for level in order[start:stop]],
        summary=(
            f"{query.column}#{unit} by {query.by}: highest mean {means.mean[best]:.3g} on {found.names[best]!r}, "
            f"of {len(found.names)} values on {rows.n} rows of {rows.count().groups} independent groups. "
            "The highest of many is biased upwards; association only."
        ),
        facts={"values_left_out_as_rare": found.n_rare},
    )


def _of_many(rows: RowSet, query: LevelsQuery, units: Ints, *, found: Levels, request: QueryRequest) -> Answer:
    means, within = _table(rows, query, units, found)
    spread = standardised(means.std(axis=1), within)
    order = np.argsort(-np.where(np.isfinite(spread), spread, 0.0), kind="stable")
    headers = (
        ("unit", "index in the column"),
        ("spread", "standard deviation of the means over the pooled standard deviation within values"),
        *((name, f"mean activation where {query.by} has this value") for name in found.names),
    )

    def make(start: int, stop: int) -> Sequence[Row]:
        return [
            (int(units[place]), number(float(spread[place])), *(number(float(mean)) for mean in means[place]))
            for place in order[start:stop]
        ]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        if not page or not query.by.startswith(("label:", "metric:")):
            return ()
        asked: dict[str, JsonValue] = {"kind": "associate", "column": query.column, "targets": [query.by]}
        return (action(request, "Test the units against this label, with intervals and q-values.", asked),)

    sizes = np.bincount(found.codes[found.codes >= 0], minlength=len(found.names))
    return Answer(
        rows=rows,
        headers=headers,
        total=int(order.size),
        make=make,
        summary=(
            f"{query.column} by {query.by}: units ranked by how far their means lie apart over {len(found.names)} "
            f"values, {rows.n} rows of {rows.count().groups} independent groups. A ranking, not a test: see associate."
        ),
        facts={
            "rows_per_value": dict(zip(found.names, (int(size) for size in sizes), strict=False)),
            "values_left_out": found.n_rare,
        },
        actions=actions,
        figure=lambda start, stop: _figure(query, units[order[start:stop]], found, means[order[start:stop]]),
    )


def _table(rows: RowSet, query: LevelsQuery, units: Ints, found: Levels) -> tuple[Floats, Floats]:
    """Mean of every unit at every value `(n_units, n_values)`, and its pooled variance within values `(n_units,)`."""
    in_order = np.empty(rows.n, dtype=np.int64)
    in_order[np.searchsorted(rows.index, rows.by_group)] = found.codes
    laid_out = rows.laid_out_by(in_order)
    counts = laid_out.clusters.sizes
    means, within = np.empty((units.size, counts.size)), np.empty(units.size)
    for some, (block,) in unit_blocks([Source(laid_out, query.column)], units):
        values = block.values()
        sums = block.group_sums(values)
        means[some] = sums / counts
        off = block.sums(values.squared()) - (sums**2 / counts).sum(axis=1)
        within[some] = np.maximum(off, 0.0) / max(1, laid_out.n - counts.size)
    return means, within


def _figure(query: LevelsQuery, units: Ints, found: Levels, means: Floats) -> Grid:
    units, means = units[:_GRID_UNITS], means[:_GRID_UNITS]
    centred = means - means.mean(axis=1, keepdims=True)
    largest = np.abs(centred).max(axis=1, keepdims=True)
    shown = centred / np.where(largest > 0, largest, 1.0)
    return Grid(
        title=f"{query.column}: mean of units by {query.by}",
        note="Each row is centred on its own mean and scaled to its largest deviation. A ranking without a test.",
        row_title="unit",
        column_title=query.by,
        row_names=tuple(str(int(unit)) for unit in units),
        column_names=found.names,
        values=tuple(tuple(float(value) for value in row) for row in shown),
        scale="diverging",
    )
