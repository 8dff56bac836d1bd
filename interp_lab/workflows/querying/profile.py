"""Layer × position: how large activations are, or one unit of each column, along the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from pydantic import JsonValue

from interp_lab.contracts.query import ProfileQuery, QueryRequest
from interp_lab.reports.figures import Grid
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.level_means import LevelMeans, level_means
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, number
from interp_lab.workflows.querying.columns import require_small_enough
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.view import StoreView, UnitRef

_CHUNK_ROWS = 1 << 14
_HEADERS = (
    ("column", "address, or address and dictionary"),
    ("from", "first position of the range"),
    ("to", "last position of the range"),
    ("mean", "mean over the rows in the range"),
    ("low", "95 % interval, Student t over independent groups; absent for one group"),
    ("high", "95 % interval"),
    ("rows", "rows in the range"),
    ("groups", "independent groups of those"),
)


def profile(view: StoreView, query: ProfileQuery, request: QueryRequest) -> Answer:
    """Return one row per column and range of positions."""
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed)
    keys = query.columns or view.store.keys
    for key in keys:
        if query.unit is not None:
            view.checked_unit(key, query.unit)
        require_small_enough(rows, key, 1 if query.unit is not None else view.column(key).width, passes=len(keys))
    edges, bins = _ranges(view.position[rows.index], query.bins)
    n_bins = edges.size - 1
    found = [level_means(_values(rows, key, query.unit), bins, rows.groups, n_levels=n_bins) for key in keys]
    table = [
        _row(key, means, (int(edges[place]), int(edges[place + 1]) - 1), place)
        for key, means in zip(keys, found, strict=True)
        for place in range(n_bins)
        if means.count[place]
    ]
    what = "Euclidean norm" if query.unit is None else f"unit {query.unit}"
    return Answer(
        rows=rows,
        headers=_HEADERS,
        total=len(table),
        make=lambda start, stop: table[start:stop],
        summary=(
            f"Mean {what} of {len(keys)} columns over {n_bins} ranges of positions, {rows.n} rows of "
            f"{rows.count().groups} independent groups. Other things than position change along a prompt too."
        ),
        figure=lambda _start, _stop: _figure(keys, what, found, edges),
    )


def _ranges(positions: Ints, bins: int) -> tuple[Ints, Ints]:
    """Edges of at most `bins` equally wide ranges, and the range of every row."""
    low, high = int(positions.min()), int(positions.max())
    n_bins = min(bins, high - low + 1)
    edges = np.ceil(np.linspace(low, high + 1, n_bins + 1)).astype(np.intp)
    return edges, np.searchsorted(edges, positions, side="right") - 1


def _values(rows: RowSet, key: str, unit: int | None) -> Floats:
    """Return the unit, or the norm, at every row in reading order."""
    if unit is not None:
        return rows.view.values_of(UnitRef(key, unit), rows.index).astype(np.float64)
    norms = _code_norms(rows, key) if rows.view.column(key).kind == "codes" else _dense_norms(rows, key)
    return norms[rows.index]


def _dense_norms(rows: RowSet, key: str) -> Floats:
    parts = [
        np.linalg.norm(block.astype(np.float64), axis=1) for _, block in rows.view.store.dense(key).chunks(_CHUNK_ROWS)
    ]
    return np.concatenate(parts)


def _code_norms(rows: RowSet, key: str) -> Floats:
    norms = np.zeros(rows.view.n_rows)
    for start, block in rows.view.store.codes(key).chunks(_CHUNK_ROWS):
        n = block.indptr.size - 1
        owner = np.repeat(np.arange(n), np.diff(block.indptr))
        norms[start : start + n] = np.bincount(owner, weights=block.values.astype(np.float64) ** 2, minlength=n)
    return np.sqrt(norms)


def _row(key: str, means: LevelMeans, span: tuple[int, int], place: int) -> Row:
    bounds: list[JsonValue] = [None, None]
    if means.n_groups[place] >= 2:
        bounds = [number(float(means.low[place])), number(float(means.high[place]))]
    return key, *span, number(float(means.mean[place])), *bounds, int(means.count[place]), int(means.n_groups[place])


def _figure(keys: Sequence[str], what: str, found: Sequence[LevelMeans], edges: Ints) -> Grid:
    spans = [(int(a), int(b) - 1) for a, b in pairwise(edges)]
    return Grid(
        title=f"Mean {what} by column and position",
        note="Empty cells have no rows. Other things than position change along a prompt too.",
        row_title="column",
        column_title="positions",
        row_names=tuple(keys),
        column_names=tuple(str(a) if a == b else f"{a}–{b}" for a, b in spans),
        values=tuple(
            tuple(float(mean) if count else None for mean, count in zip(each.mean, each.count, strict=True))
            for each in found
        ),
        scale="rising" if what == "Euclidean norm" else "diverging",
    )
