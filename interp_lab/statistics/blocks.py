"""Some columns of a table at once, dense or by the values that are not 0, behind the same few questions.

A block knows its values, its distinct values with how many rows of each side have them, and sums over rows and over
groups of rows. All statistics of a store are made of these, so that a dense address and the codes of a dictionary share
one code path. Rows are those of a `Clusters`: in the order of their groups. Row weights of None are all 1.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.clusters import Clusters, Weights
from interp_lab.statistics.sides import NEGATIVE, POSITIVE, Sides
from interp_lab.statistics.value_levels import Levels, Tally, sorted_levels

_CODES = 1 << 16


class RowValues(NamedTuple):
    """One number per column and row."""

    at: Floats
    """Dense: `(n_columns, n_rows)`; sparse: one per stored entry."""
    rest: Floats | None
    """Sparse: the value `(n_columns,)` at every row without an entry; dense: None."""

    def squared(self) -> RowValues:
        """Return the squares."""
        return RowValues(self.at**2, None if self.rest is None else self.rest**2)


class Block(Protocol):
    """The columns of one block, over the rows of `clusters`."""

    clusters: Clusters

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        ...

    @property
    def levels(self) -> Levels:
        """The distinct values of every column."""
        ...

    def tally(self, sides: Sides) -> Tally:
        """Return how many rows of each side are at every level."""
        ...

    def side_sums(self, scores: Floats, sides: Sides) -> Floats:
        """Return sums over groups `(n_columns, n_groups)` of what a row scores by its level and side.

        `scores` `(n_levels, 2)` holds NEGATIVE, then POSITIVE.
        """
        ...

    def values(self) -> RowValues:
        """Return the values themselves."""
        ...

    def standardised(self, mean: Floats, deviation: Floats) -> RowValues:
        """Return the values less a mean and over a deviation of each column `(n_columns,)`."""
        ...

    def group_sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        ...

    def sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        ...

    def active_groups(self, weights: Weights | None = None) -> Ints:
        """Return the number of groups with weight in which a column is anywhere not 0 `(n_columns,)`."""
        ...


class DenseBlock:
    """Columns of which every row has a value."""

    def __init__(self, columns: Matrix, clusters: Clusters) -> None:
        self.clusters = clusters
        self._columns = columns

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self._columns.shape[0]

    @property
    def levels(self) -> Levels:
        """The distinct values of every column."""
        return self._levelled[0]

    @cached_property
    def _levelled(self) -> tuple[Levels, Ints]:
        """The levels, and that of every value `(n_columns, n_rows)`."""
        if self._columns.dtype == np.float32 and self._columns.shape[1] >= _CODES:
            bits = (self._columns + np.float32(0)).view(np.uint32)
            if not (bits & (_CODES - 1)).any():
                return _coded_levels(bits)
        return sorted_levels(self._columns)

    def tally(self, sides: Sides) -> Tally:
        """Return how many rows of each side are at every level."""
        kinds = sides.n_kinds
        counts = np.bincount(self._cells(sides).ravel(), minlength=kinds * self.levels.values.size)
        return Tally(counts[POSITIVE::kinds], counts[NEGATIVE::kinds])

    def side_sums(self, scores: Floats, sides: Sides) -> Floats:
        """Return sums over groups `(n_columns, n_groups)` of what a row scores by its level and side."""
        return self.clusters.sums(_with_unknown(scores, sides).take(self._cells(sides)))

    def _cells(self, sides: Sides) -> Ints:
        return self._levelled[1] * sides.n_kinds + sides.codes

    def values(self) -> RowValues:
        """Return the values themselves."""
        return RowValues(self._columns.astype(np.float64), None)

    def standardised(self, mean: Floats, deviation: Floats) -> RowValues:
        """Return the values less a mean and over a deviation of each column `(n_columns,)`."""
        return RowValues((self._columns - mean[:, None]) / deviation[:, None], None)

    def group_sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        return self.clusters.sums(values.at if weights is None else values.at * weights)

    def sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        return values.at.sum(axis=1) if weights is None else values.at @ weights

    def active_groups(self, weights: Weights | None = None) -> Ints:
        """Return the number of groups with weight in which a column is anywhere not 0 `(n_columns,)`."""
        active = self._columns != 0
        fires = np.logical_or.reduceat(active if weights is None else active & (weights > 0), self.clusters.starts, 1)
        return np.count_nonzero(fires, axis=1).astype(np.intp)


class SparseBlock:
    """Columns by the entries that are not 0, strongest first within a column."""

    def __init__(self, bounds: Ints, rows: Ints, values: Matrix, *, clusters: Clusters) -> None:
        """Take column j's entries from `bounds[j]:bounds[j + 1]`; entries that were rounded to 0 are dropped."""
        if (values == 0).any():
            kept = values != 0
            bounds = np.concatenate([[0], np.cumsum(kept)])[bounds]
            rows, values = rows[kept], values[kept]
        self.clusters = clusters
        self._bounds = bounds
        self._rows = rows
        self._values = values
        self._found: tuple[Sides, NDArray[np.int8], Ints] | None = None

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self._bounds.size - 1

    @cached_property
    def _column(self) -> Ints:
        return np.repeat(np.arange(self.n_columns, dtype=np.intp), np.diff(self._bounds))

    @cached_property
    def _cell(self) -> Ints:
        """Flat index into `(n_columns, n_groups)` of every entry."""
        return self._column * self.clusters.n_groups + self.clusters.narrow_codes.take(self._rows)

    @cached_property
    def _runs(self) -> Ints:
        """First entry of each run of equal values in a column, and the number of entries."""
        begins = np.ones(self._values.size + 1, dtype=np.bool_)
        np.not_equal(self._values[1:], self._values[:-1], out=begins[1:-1])
        begins[self._bounds] = True
        return np.flatnonzero(begins)

    @cached_property
    def _run_bounds(self) -> Ints:
        return np.searchsorted(self._runs, self._bounds)

    @cached_property
    def _level_of_run(self) -> Ints:
        """Level of every run: between the last positive and the first negative run of a column lies its level 0."""
        below_zero = self._values[self._runs[:-1]] < 0
        shift = np.repeat(np.arange(self.n_columns, dtype=np.intp), np.diff(self._run_bounds))
        return np.arange(shift.size) + shift + below_zero

    @cached_property
    def _zero(self) -> Ints:
        """Level 0 of every column."""
        negative_runs = np.concatenate([[0], np.cumsum(self._values[self._runs[:-1]] < 0)])
        return self._run_bounds[1:] + np.arange(self.n_columns) - np.diff(negative_runs[self._run_bounds])

    @property
    def levels(self) -> Levels:
        """The distinct values of every column, 0 among them for the rows without an entry."""
        return self._levels

    @cached_property
    def _levels(self) -> Levels:
        bounds = self._run_bounds + np.arange(self.n_columns + 1)
        values = np.zeros(int(bounds[-1]))
        values[self._level_of_run] = self._values[self._runs[:-1]]
        return Levels(bounds, values)

    @cached_property
    def _level(self) -> Ints:
        return np.repeat(self._level_of_run, np.diff(self._runs))

    def tally(self, sides: Sides) -> Tally:
        """Return how many rows of each side are at every level."""
        own, _ = self._of(sides)
        at_runs = np.diff(self._runs)
        positive = self._counted(own == POSITIVE)
        negative = at_runs - positive if sides.n_kinds == 2 else self._counted(own == NEGATIVE)
        return Tally(self._with_rest(positive, sides.n_positive), self._with_rest(negative, sides.n_negative))

    def side_sums(self, scores: Floats, sides: Sides) -> Floats:
        """Return sums over groups `(n_columns, n_groups)` of what a row scores by its level and side."""
        rest = scores[self._zero]
        beyond = scores - np.repeat(rest, np.diff(self.levels.bounds), axis=0)
        sums = self._binned(_with_unknown(beyond, sides).take(self._of(sides)[1]))
        sums += rest[:, POSITIVE, None] * self.clusters.weight_sums(sides.positive)
        sums += rest[:, NEGATIVE, None] * self.clusters.weight_sums(sides.negative)
        return sums

    def _of(self, sides: Sides) -> tuple[NDArray[np.int8], Ints]:
        """Side of every entry, and its place in a flat table of scores; remembered for one label."""
        if self._found is None or self._found[0] is not sides:
            own = sides.codes.take(self._rows)
            self._found = sides, own, self._level * sides.n_kinds + own
        return self._found[1:]

    def _counted(self, flags: NDArray[np.bool_]) -> Ints:
        """Number of entries with the flag in every run."""
        through = np.zeros(flags.size + 1, dtype=np.int64)
        np.cumsum(flags, out=through[1:])
        return np.diff(through[self._runs])

    def _with_rest(self, of_runs: Ints, total: int) -> Ints:
        """Counts of the levels, of which level 0 has what the entries leave of `total`."""
        out = np.zeros(self.levels.values.size, dtype=np.int64)
        out[self._level_of_run] = of_runs
        out[self._zero] = total - self.levels.sums(out)
        return out

    @cached_property
    def _exact(self) -> Floats:
        return self._values.astype(np.float64)

    def values(self) -> RowValues:
        """Return the values themselves."""
        return RowValues(self._exact, np.zeros(self.n_columns))

    def standardised(self, mean: Floats, deviation: Floats) -> RowValues:
        """Return the values less a mean and over a deviation of each column `(n_columns,)`."""
        each = (self._exact - mean.take(self._column)) / deviation.take(self._column)
        return RowValues(each, -mean / deviation)

    def group_sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        sums = self._binned(self._weighted(values, weights))
        if values.rest is not None and values.rest.any():
            sums += values.rest[:, None] * self.clusters.weight_sums(weights)
        return sums

    def sums(self, values: RowValues, weights: Weights | None = None) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        sums = np.zeros(self.n_columns)
        filled = np.flatnonzero(np.diff(self._bounds))
        if filled.size:
            sums[filled] = np.add.reduceat(self._weighted(values, weights), self._bounds[filled])
        if values.rest is not None and values.rest.any():
            sums += values.rest * self.clusters.weight_sums(weights).sum()
        return sums

    def active_groups(self, weights: Weights | None = None) -> Ints:
        """Return the number of groups with weight in which a column is anywhere not 0 `(n_columns,)`."""
        if weights is None:
            return self._active_groups
        return self._groups_of(self._cell[weights.take(self._rows) > 0])

    @cached_property
    def _active_groups(self) -> Ints:
        return self._groups_of(self._cell)

    def _groups_of(self, cells: Ints) -> Ints:
        fires = np.zeros((self.n_columns, self.clusters.n_groups), dtype=np.bool_)
        fires.ravel()[cells] = True
        # Counting a row at a time is vectorised by numpy; counting along an axis is not.
        return np.array([np.count_nonzero(row) for row in fires], dtype=np.intp)

    def _weighted(self, values: RowValues, weights: Weights | None) -> Floats:
        """What each entry adds beyond the rest of its column."""
        off = values.at
        if values.rest is not None and values.rest.any():
            off = off - values.rest.take(self._column)
        return off if weights is None else off * weights.take(self._rows)

    def _binned(self, entries: Floats) -> Floats:
        shape = self.n_columns, self.clusters.n_groups
        return np.bincount(self._cell, entries, shape[0] * shape[1]).astype(np.float64, copy=False).reshape(shape)


def _with_unknown(scores: Floats, sides: Sides) -> Floats:
    """Scores with a third column of 0 for rows without a side, where there are any."""
    return scores if sides.n_kinds == 2 else np.concatenate([scores, np.zeros((len(scores), 1))], axis=1)


def _coded_levels(bits: NDArray[np.uint32]) -> tuple[Levels, Ints]:
    """Levels of values that are bfloat16: all 65,536 of them, so that nothing has to be sorted."""
    codes = _falling((bits >> 16).astype(np.uint16)).astype(np.intp)
    n_columns = bits.shape[0]
    of_code = (_falling(np.arange(_CODES, dtype=np.uint16)).astype(np.uint32) << 16).view(np.float32)
    of_code = np.where(np.isfinite(of_code), of_code, 0).astype(np.float64)
    bounds = np.arange(0, _CODES * n_columns + 1, _CODES, dtype=np.intp)
    return Levels(bounds, np.tile(of_code, n_columns)), codes + bounds[:-1, None]


def _falling(codes: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Codes of bfloat16 that fall as the values rise, and back: the magnitude of positive ones is turned over."""
    return codes ^ np.where(codes < _CODES // 2, np.uint16(_CODES // 2 - 1), np.uint16(0))
