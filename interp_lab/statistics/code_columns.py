"""Columns of a sparse table, by their entries that are not 0: every statistic sees them block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.statistics.arrays import Ints
from interp_lab.statistics.blocks import SparseBlock
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.sample import Sample

_BLOCK_ENTRIES = 1 << 20
_BLOCK_CELLS = 1 << 22
"""Columns times groups: sums over groups are kept for every column of a block."""


@dataclass(frozen=True, eq=False)
class CodeColumns:
    """A table `(n_rows, n_columns)`, column j in the entries `bounds[j]:bounds[j + 1]`, strongest first."""

    bounds: Ints
    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    n_rows: int

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self.bounds.size - 1

    def take(self, columns: Sequence[int] | Ints) -> NDArray[np.float32]:
        """Return some columns with their zeros `(n_rows, len(columns))`."""
        out = np.zeros((self.n_rows, len(columns)), np.float32)
        for place, column in enumerate(columns):
            entries = slice(self.bounds[column], self.bounds[column + 1])
            out[self.rows[entries], place] = self.values[entries]
        return out

    def blocks(self, sample: Sample, rows: Ints) -> Iterator[tuple[slice, SparseBlock]]:
        """Yield every run of columns with its block over `rows`, which are the rows of `sample`, in group order."""
        place = np.full(self.n_rows, -1, np.int32)
        place[rows[sample.by_group]] = np.arange(rows.size, dtype=np.int32)
        clusters = Clusters.of(sample.groups[sample.by_group])
        for columns in self._runs(clusters.n_groups):
            edges = self.bounds[columns.start : columns.stop + 1]
            entries = slice(int(edges[0]), int(edges[-1]))
            places = place[self.rows[entries]]
            kept = places >= 0
            through = np.zeros(kept.size + 1, dtype=np.intp)
            np.cumsum(kept, out=through[1:])
            own, values = places[kept].astype(np.intp), self.values[entries][kept]
            yield columns, SparseBlock(through[edges - entries.start], own, values, clusters=clusters)

    def _runs(self, n_groups: int) -> Iterator[slice]:
        start, most = 0, max(1, _BLOCK_CELLS // max(1, n_groups))
        while start < self.n_columns:
            stop = int(np.searchsorted(self.bounds, [self.bounds[start] + _BLOCK_ENTRIES], side="right")[0]) - 1
            stop = min(max(stop, start + 1), start + most, self.n_columns)
            yield slice(start, stop)
            start = stop


def code_columns(columns: Sequence[NDArray[np.float32]] | NDArray[np.float32], n_rows: int) -> CodeColumns:
    """Return the sparse form of a table given as its columns `(n_columns, n_rows)`."""
    table = np.asarray(columns, dtype=np.float32)
    column, row = np.nonzero(table)
    return sorted_columns(column, row, table[column, row], shape=(n_rows, table.shape[0]))


def sorted_columns(column: ArrayLike, row: ArrayLike, values: ArrayLike, *, shape: tuple[int, int]) -> CodeColumns:
    """Return entries in any order, each cell once, as columns of a table of `shape` (n_rows, n_columns)."""
    own, strength = np.asarray(column), np.asarray(values, dtype=np.float32)
    order = np.lexsort((-strength, own))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=shape[1]))]).astype(np.intp)
    return CodeColumns(bounds, np.asarray(row)[order].astype(np.int32), strength[order], shape[0])
