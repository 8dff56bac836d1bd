"""Count, mean, deviation, extremes and firing rate of every column, from row blocks or from entries, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from interp_lab.statistics.arrays import Floats, Ints, Matrix


@dataclass(frozen=True, slots=True, eq=False)
class ColumnMoments:
    """One value per column `(n_columns,)`, over `n_rows` rows."""

    n_rows: int
    mean: Floats
    std: Floats
    """Population standard deviation, as numpy's default."""
    minimum: Floats
    maximum: Floats
    firing_rate: Floats
    """Share of rows on which the value is above the threshold."""


def dense_moments(blocks: Iterable[Matrix], n_columns: int, *, fires_above: float) -> ColumnMoments:
    """Return the moments of a table given as blocks of rows `(n_block, n_columns)`.

    Source: pairwise update of the centred sum of squares, Chan, Golub and LeVeque (1983).
    """
    n_rows = 0
    mean, squares, fires = np.zeros(n_columns), np.zeros(n_columns), np.zeros(n_columns)
    low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    for block in blocks:
        k = block.shape[0]
        if not k:
            continue
        block_mean = block.mean(axis=0, dtype=np.float64)
        centred = block - block_mean
        shift = block_mean - mean
        squares += np.einsum("ij,ij->j", centred, centred) + shift**2 * (n_rows * k / (n_rows + k))
        mean += shift * (k / (n_rows + k))
        n_rows += k
        fires += np.count_nonzero(block > fires_above, axis=0)
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
    return ColumnMoments(
        n_rows, mean, np.sqrt(squares / max(1, n_rows)), low, maximum=high, firing_rate=fires / max(1, n_rows)
    )


def sparse_moments(bounds: Ints, values: Matrix, n_rows: int, *, fires_above: float) -> ColumnMoments:
    """Return the moments of columns given by their entries that are not 0, of which a column has at most `n_rows`."""
    counts = np.diff(bounds)
    filled = np.flatnonzero(counts)
    starts = bounds[:-1][filled]
    exact = values.astype(np.float64)

    def reduced(how: np.ufunc, of: Floats) -> Floats:
        out = np.zeros(counts.size)
        if filled.size:
            out[filled] = how.reduceat(of, starts)
        return out

    mean = reduced(np.add, exact) / n_rows
    zeros = n_rows - counts
    centred = exact - np.repeat(mean, counts)
    squares = reduced(np.add, centred**2) + zeros * mean**2
    low, high = reduced(np.minimum, exact), reduced(np.maximum, exact)
    has_zero = zeros > 0
    fires = reduced(np.add, (exact > fires_above).astype(np.float64)) + (zeros if fires_above < 0 else 0)
    return ColumnMoments(
        n_rows,
        mean,
        np.sqrt(squares / n_rows),
        np.where(has_zero, np.minimum(low, 0.0), low),
        maximum=np.where(has_zero, np.maximum(high, 0.0), high),
        firing_rate=fires / n_rows,
    )
