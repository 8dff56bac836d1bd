"""The best one-to-one matching of rows to columns by the sum of their values; what those mean is not known here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import NonFiniteInput, ShapeMismatch
from interp_lab.statistics.arrays import Floats, Ints


def best_assignment(values: ArrayLike) -> tuple[Ints, Ints]:
    """Return rows and their columns, `min(n_rows, n_columns)` of each, that maximise the sum of `values`.

    Rows ascend.

    Raises:
        ShapeMismatch: `values` is not a matrix.
        NonFiniteInput: A value is NaN or infinite.

    Source: shortest augmenting paths, Crouse (2016), "On implementing 2D rectangular assignment algorithms".
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ShapeMismatch(f"A matching needs a matrix, not an array of shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise NonFiniteInput("A matching needs finite values.")
    if matrix.shape[0] <= matrix.shape[1]:
        return np.arange(matrix.shape[0], dtype=np.intp), _columns(-matrix)
    rows = _columns(-matrix.T)
    order = np.argsort(rows, kind="stable")
    return rows[order], order.astype(np.intp)


def _columns(cost: Floats) -> Ints:
    """Return the column of every row at least cost, for no more rows than columns."""
    n_rows, n_columns = cost.shape
    row_price, column_price = np.zeros(n_rows), np.zeros(n_columns)
    row_of = np.full(n_columns, -1, dtype=np.intp)
    column_of = np.full(n_rows, -1, dtype=np.intp)
    for start in range(n_rows):
        shortest = np.full(n_columns, np.inf)
        before = np.full(n_columns, -1, dtype=np.intp)
        done = np.zeros(n_columns, dtype=np.bool_)
        seen = [start]
        row, reach, sink = start, 0.0, -1
        while sink < 0:
            through = reach + cost[row] - row_price[row] - column_price
            closer = ~done & (through < shortest)
            shortest[closer], before[closer] = through[closer], row
            column = int(np.argmin(np.where(done, np.inf, shortest)))
            reach, done[column] = float(shortest[column]), True
            if row_of[column] < 0:
                sink = column
            else:
                row = int(row_of[column])
                seen.append(row)
        row_price[start] += reach
        others = np.asarray(seen[1:], dtype=np.intp)
        row_price[others] += reach - shortest[column_of[others]]
        column_price[done] -= reach - shortest[done]
        column, row = sink, -1
        while row != start:  # every match along the path that ends in the sink is turned
            row = int(before[column])
            row_of[column] = row
            column, column_of[row] = int(column_of[row]), column
    return column_of
