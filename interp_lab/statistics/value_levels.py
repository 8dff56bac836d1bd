"""`Levels`: the distinct values of each column of a block, where ties are exact.

What depends on a row's rank and side alone is worked out once for each of them, not once for each row.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.ranks import rank_block

Counts = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)


class Levels(NamedTuple):
    """Distinct values, falling within a column; a level without rows does no harm."""

    bounds: Ints
    """Column j has the levels `bounds[j]:bounds[j + 1]`, at least one."""
    values: Floats
    """`(n_levels,)`."""

    @property
    def column(self) -> Ints:
        """Column of every level `(n_levels,)`."""
        return np.repeat(np.arange(self.bounds.size - 1), np.diff(self.bounds))

    def sums(self, of_levels: NDArray[Number]) -> NDArray[Number]:
        """Return the sum over the levels of each column `(n_columns,)`."""
        return np.add.reduceat(of_levels, self.bounds[:-1])


class Tally(NamedTuple):
    """Rows of each side at every level `(n_levels,)`."""

    positive: Counts
    negative: Counts


def below_twice(levels: Levels, counts: Counts) -> Counts:
    """Return twice the number of rows below every level, rows at it counted half: a whole number.

    Every column has the same number of rows in all.
    """
    through = np.cumsum(counts)
    ends = through[levels.bounds[1:] - 1]
    # Twice (column total - above) - at, where above + at is what the running sum reached in this column.
    return 2 * np.repeat(ends, np.diff(levels.bounds)) - 2 * through + counts


def sorted_levels(columns: Matrix) -> tuple[Levels, Ints]:
    """Return the levels of a transposed block of finite numbers, and that of every value `(n_columns, n_rows)`."""
    ranked = rank_block(-columns)
    starts = (
        np.arange(columns.size) if ranked.first is None else np.flatnonzero(ranked.first == np.arange(columns.size))
    )
    sizes = np.diff(np.append(starts, columns.size))
    at = np.empty(columns.size, dtype=np.intp)
    at[ranked.order] = np.repeat(np.arange(starts.size), sizes)
    bounds = np.searchsorted(starts, np.arange(0, columns.size + 1, columns.shape[1], dtype=np.intp)).astype(np.intp)
    return Levels(bounds, columns.ravel()[ranked.order[starts]].astype(np.float64)), at.reshape(columns.shape)
