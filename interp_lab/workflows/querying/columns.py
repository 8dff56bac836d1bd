"""A column of a store as blocks of units over chosen rows, whether it is dense or codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from interp_lab.errors import QueryTooLarge
from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.blocks import Block, DenseBlock, SparseBlock
from interp_lab.statistics.column_moments import ColumnMoments, dense_moments, sparse_moments
from interp_lab.workflows.querying.rows import RowSet

MAX_WORK = 1_500_000_000
"""Values times passes that are worked through while the caller waits; about half a minute."""
_BLOCK_VALUES = 1 << 18
_BLOCK_ENTRIES = 1 << 17
_BLOCK_CELLS = 1 << 19
_READ_UNITS = 64
_READ_VALUES = 1 << 25
_CHUNK_ROWS = 1 << 15


def chosen_units(rows: RowSet, key: str, units: Sequence[int]) -> Ints:
    """Return these units, each once and ascending, or all of the column.

    Raises:
        UnknownColumn, UnknownUnit: the store has it not.
    """
    width = rows.view.column(key).width
    if not units:
        return np.arange(width)
    return np.unique([rows.view.checked_unit(key, unit) for unit in units])


def is_dense(rows: RowSet, key: str) -> bool:
    """Return whether every value of the column is stored."""
    return rows.view.column(key).kind == "dense"


def require_small_enough(rows: RowSet, key: str, n_units: int, *, passes: int) -> None:
    """Refuse work that would keep the caller waiting.

    Raises:
        QueryTooLarge: with a sample_rows that would do.
    """
    column = rows.view.column(key)
    share = n_units / column.width
    stored = rows.view.n_rows * column.width if column.kind == "dense" else rows.view.store.codes(key).n_active
    work = stored * share * rows.n / max(1, rows.view.n_rows) + 4 * rows.clusters.n_groups * n_units
    if work * passes > MAX_WORK:
        fits = max(1000, int(rows.n * MAX_WORK / (work * passes) * 0.8))
        raise QueryTooLarge(
            f"{rows.n} rows x {n_units} units x {passes} passes would take too long to answer at once.",
            remedy=f"Set sample_rows to {fits} (the answer says so), name fewer units or targets, or narrow where.",
        )


class Source(NamedTuple):
    """A column over chosen rows."""

    rows: RowSet
    key: str


def unit_blocks(sources: Sequence[Source], units: Ints) -> Iterator[tuple[slice, tuple[Block, ...]]]:
    """Yield, for runs of these units, their place in `units` and one block per source, over its own rows."""
    tables = [_Table(source, units) for source in sources]
    cost = np.maximum.reduce([table.cost() for table in tables])
    for run in _runs(cost):
        yield run, tuple(table.block(run) for table in tables)


def _runs(cost: Floats) -> Iterator[slice]:
    """Yield runs of units that cost about 1 together, or one unit that costs more."""
    started = np.floor(np.cumsum(cost) - cost + 1e-9)
    edges = [0, *(np.flatnonzero(np.diff(started)) + 1).tolist(), cost.size]
    return (slice(first, last) for first, last in pairwise(edges) if last > first)


def unit_moments(rows: RowSet, key: str, units: Ints, *, fires_above: float) -> ColumnMoments:
    """Return moments of these units over the rows."""
    if is_dense(rows, key):
        return dense_moments(_row_chunks(rows, key, units), units.size, fires_above=fires_above)
    parts: list[ColumnMoments] = []
    for some in _runs(_Table(Source(rows, key), units).cost()):
        bounds, _, values = _entries(rows, key, units[some])
        parts.append(sparse_moments(bounds, values, rows.n, fires_above=fires_above))
    return ColumnMoments(
        rows.n,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("mean", "std", "minimum", "maximum", "firing_rate")
        ),
    )


def unit_values(rows: RowSet, key: str, units: Ints) -> Floats:
    """Return the values of a few units `(n_units, n)` in the order of `rows.by_group`."""
    out = np.zeros((units.size, rows.n))
    if is_dense(rows, key):
        for start in range(0, units.size, _READ_UNITS):
            some = slice(start, start + _READ_UNITS)
            out[some] = _dense_units(rows, key, units[some])
        return out
    bounds, places, values = _entries(rows, key, units)
    out[np.repeat(np.arange(units.size), np.diff(bounds)), places] = values
    return out


class _Table:
    """Units of a source: dense ones read many at a time, because a row of the file holds them all."""

    def __init__(self, source: Source, units: Ints) -> None:
        self._source = source
        self._units = units
        self._read: tuple[int, Matrix] = 0, np.zeros((0, 0))

    def cost(self) -> Floats:
        """Return for each unit the share of a block that it takes up: blocks should stay in the cache."""
        rows, key = self._source
        cells = np.full(self._units.size, rows.clusters.n_groups / _BLOCK_CELLS)
        if is_dense(rows, key):
            return np.maximum(cells, rows.n / _BLOCK_VALUES)
        entries = rows.view.store.codes(key).counts[self._units] / _BLOCK_ENTRIES
        return np.maximum(cells, entries * (rows.n / max(1, rows.view.n_rows)))

    def block(self, run: slice) -> Block:
        """Return the block of a run of the units."""
        rows, key = self._source
        if not is_dense(rows, key):
            bounds, places, values = _entries(rows, key, self._units[run])
            return SparseBlock(bounds, places, values, clusters=rows.clusters)
        begin, columns = self._read
        if run.stop > begin + len(columns):
            begin, columns = run.start, _dense_units(rows, key, self._units[run.start : run.start + self._at_once(run)])
            self._read = begin, columns
        return DenseBlock(columns[run.start - begin : run.stop - begin], rows.clusters)

    def _at_once(self, run: slice) -> int:
        return max(run.stop - run.start, min(_READ_UNITS, _READ_VALUES // max(1, self._source.rows.n)))


def _dense_units(rows: RowSet, key: str, units: Ints) -> Matrix:
    dense = rows.view.store.dense(key)
    few = rows.n * 8 < rows.view.n_rows
    table = dense.take(rows.by_group)[:, units] if few else dense.units(units)[rows.by_group]
    return np.ascontiguousarray(table.T)


def _row_chunks(rows: RowSet, key: str, units: Ints) -> Iterator[Matrix]:
    dense = rows.view.store.dense(key)
    every_unit = units.size == rows.view.column(key).width
    if rows.n * 4 >= rows.view.n_rows:
        for start, block in dense.chunks(_CHUNK_ROWS):
            kept = block if rows.is_all else block[rows.mask[start : start + len(block)]]
            yield kept if every_unit else kept[:, units]
        return
    for start in range(0, rows.n, _CHUNK_ROWS):
        block = dense.take(rows.index[start : start + _CHUNK_ROWS])
        yield block if every_unit else block[:, units]


def _entries(rows: RowSet, key: str, units: Ints) -> tuple[Ints, Ints, Matrix]:
    """Bounds, places in `rows.by_group` and values of the entries of some latents, strongest first in each."""
    codes = rows.view.store.codes(key)
    if units.size and units[-1] - units[0] == units.size - 1:
        run = codes.latents(int(units[0]), int(units[-1]) + 1)
        counts, places, values = np.diff(run.offsets), run.rows, run.values
    else:
        found = [codes.latent(int(unit)) for unit in units]
        counts = np.array([each.rows.size for each in found], dtype=np.int64)
        places = np.concatenate([each.rows for each in found] or [np.zeros(0, dtype=np.int64)])
        values = np.concatenate([each.values for each in found] or [np.zeros(0, dtype=np.float32)])
    if not rows.in_order:
        places = rows.place[places]
        kept = places >= 0
        counts = np.bincount(np.repeat(np.arange(units.size), counts)[kept], minlength=units.size)
        places, values = places[kept], values[kept]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp), places.astype(np.intp, copy=False), values
