"""Some columns of a table at once, dense or by the values that are not 0, behind the same four questions.

A block knows its values, how much row weight lies below each of them, and sums over rows and over groups of rows. All
statistics of a store are made of these, so that a dense address and the codes of a dictionary share one code path.
Rows are those of a `Clusters`: in the order of their groups.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.ranks import RankedBlock, rank_block


class RowValues(NamedTuple):
    """One number per column and row."""

    at: Floats
    """Dense: `(n_columns, n_rows)`; sparse: one per stored entry."""
    rest: Floats | None
    """Sparse: the value `(n_columns,)` at every row without an entry; dense: None."""


class Block(Protocol):
    """The columns of one block, over the rows of `clusters`."""

    clusters: Clusters

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        ...

    def values(self) -> RowValues:
        """Return the values themselves."""
        ...

    def below(self, weights: Floats) -> RowValues:
        """Return the row weight strictly below each value plus half of the weight tied with it."""
        ...

    def group_sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        ...

    def sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        ...

    def active_groups(self, weights: Floats) -> Ints:
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

    @cached_property
    def _ranked(self) -> RankedBlock:
        return rank_block(self._columns)

    def values(self) -> RowValues:
        """Return the values themselves."""
        return RowValues(self._columns.astype(np.float64), None)

    def below(self, weights: Floats) -> RowValues:
        """Return the row weight strictly below each value plus half of the weight tied with it."""
        return RowValues(self._ranked.in_row_order(self._ranked.weight_below(weights)), None)

    def group_sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        return self.clusters.sums(values.at * weights)

    def sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        return values.at @ weights

    def active_groups(self, weights: Floats) -> Ints:
        """Return the number of groups with weight in which a column is anywhere not 0 `(n_columns,)`."""
        fires = self.clusters.sums((self._columns != 0) * weights) > 0
        return np.count_nonzero(fires, axis=1).astype(np.intp)


class SparseBlock:
    """Columns by the entries that are not 0, strongest first within a column."""

    def __init__(self, bounds: Ints, rows: Ints, values: Matrix, *, clusters: Clusters) -> None:
        self.clusters = clusters
        self._bounds = bounds
        self._rows = rows
        self._values = values
        self._gathered: dict[int, tuple[Floats, Floats]] = {}

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
        return self._column * self.clusters.n_groups + self.clusters.codes[self._rows]

    @cached_property
    def _runs(self) -> tuple[Ints, Ints]:
        """First and last entry of the run of equal values that each entry belongs to."""
        if not self._values.size:
            nothing = np.zeros(0, dtype=np.intp)
            return nothing, nothing
        starts = np.ones(self._values.size, dtype=np.bool_)
        starts[1:] = (self._values[1:] != self._values[:-1]) | (self._column[1:] != self._column[:-1])
        first = np.flatnonzero(starts)
        length = np.diff(np.append(first, starts.size))
        return np.repeat(first, length), np.repeat(first + length - 1, length)

    def values(self) -> RowValues:
        """Return the values themselves."""
        return RowValues(self._values.astype(np.float64), np.zeros(self.n_columns))

    def below(self, weights: Floats) -> RowValues:
        """Return the row weight strictly below each value plus half of the weight tied with it."""
        own = self._at_rows(weights)
        through = np.cumsum(own)
        total = float(self.clusters.weight_sums(weights).sum())
        before_column = np.concatenate([[0.0], through])[self._bounds]
        stored, above_zero = np.diff(before_column), self._weight_above_zero(own)
        first, last = self._runs
        # Strictly above, plus at or above: twice the weight above with ties counted half.
        twice_above = (through - own)[first] + through[last] - 2 * before_column[self._column]
        unstored = total - stored
        twice_above += np.where(self._values < 0, 2 * unstored[self._column], 0.0)
        return RowValues(total - twice_above / 2, total - above_zero - unstored / 2)

    def group_sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over every group `(n_columns, n_groups)`."""
        rest = np.zeros(self.n_columns) if values.rest is None else values.rest
        off = values.at - rest[self._column] if rest.any() else values.at
        beyond = off * self._at_rows(weights)
        shape = (self.n_columns, self.clusters.n_groups)
        sums = _binned(self._cell, beyond, shape[0] * shape[1]).reshape(shape)
        if rest.any():
            sums += rest[:, None] * self.clusters.weight_sums(weights)
        return sums

    def sums(self, values: RowValues, weights: Floats) -> Floats:
        """Return the weighted sum of `values` over all rows `(n_columns,)`."""
        own = self._at_rows(weights)
        if values.rest is None or not values.rest.any():
            return self._column_sums(values.at * own)
        beyond = self._column_sums((values.at - values.rest[self._column]) * own)
        return beyond + values.rest * self.clusters.weight_sums(weights).sum()

    def active_groups(self, weights: Floats) -> Ints:
        """Return the number of groups with weight in which a column is anywhere not 0 `(n_columns,)`."""
        shape = (self.n_columns, self.clusters.n_groups)
        fires = np.zeros(shape[0] * shape[1], dtype=np.bool_)
        fires[self._cell[self._at_rows(weights) > 0]] = True
        return np.count_nonzero(fires.reshape(shape), axis=1).astype(np.intp)

    def wins(self, positives: Floats, negatives: Floats) -> Floats:
        """Return the number of pairs in which a positive row is above a negative one, ties half `(n_columns,)`.

        `positives` and `negatives` are 0 or 1 per row. One pass over the entries, then one over their distinct values;
        `below` does the same for any weights, several times slower.
        """
        if (self._values < 0).any():
            return self.sums(self.below(negatives), positives)
        p = np.concatenate([[0], np.cumsum((positives > 0)[self._rows], dtype=np.int64)])
        n = np.concatenate([[0], np.cumsum((negatives > 0)[self._rows], dtype=np.int64)])
        begins = np.ones(self._values.size + 1, dtype=np.bool_)
        np.not_equal(self._values[1:], self._values[:-1], out=begins[1:-1])
        begins[self._bounds] = True
        ends = np.flatnonzero(begins)
        column = np.searchsorted(self._bounds, ends[:-1], side="right") - 1
        m_all, n_all = float(positives.sum()), float(negatives.sum())
        above = n[ends[:-1]] - n[self._bounds[column]]
        tied = np.diff(n[ends])
        won = _binned(column, np.diff(p[ends]) * (n_all - above - tied / 2), self.n_columns)
        at_zero = (m_all - np.diff(p[self._bounds])) * (n_all - np.diff(n[self._bounds]))
        return won + at_zero / 2

    def _weight_above_zero(self, own: Floats) -> Floats:
        return self._column_sums(own * (self._values > 0))

    def _at_rows(self, weights: Floats) -> Floats:
        """Row weights at the entries, remembered: every statistic of a target asks for the same ones."""
        known = self._gathered.get(id(weights))
        if known is None or known[0] is not weights:
            known = self._gathered[id(weights)] = weights, weights[self._rows]
        return known[1]

    def _column_sums(self, entries: Floats) -> Floats:
        out = np.zeros(self.n_columns)
        filled = np.flatnonzero(np.diff(self._bounds))
        if filled.size:
            out[filled] = np.add.reduceat(entries, self._bounds[:-1][filled])
        return out


def _binned(at: Ints, weights: Floats, n: int) -> Floats:
    return np.bincount(at, weights=weights, minlength=n).astype(np.float64, copy=False)
