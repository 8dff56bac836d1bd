"""The array types of this package, and the guard at its door: finite tables, walked in blocks of columns.

Every table is `(n_rows, n_columns)`: rows are prompts, columns are latents or coordinates. Blocks keep the working
memory of any statistic near the cache, whatever the width of the dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.errors import NonFiniteInput, ShapeMismatch

Matrix = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_KEPT: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))
_BLOCK_ELEMENTS = 1 << 18


def checked_matrix(values: ArrayLike, n_rows: int) -> Matrix:
    """Return `values` as a finite float matrix `(n_rows, n_columns)`; float32 and float64 are kept as they are.

    Raises:
        ShapeMismatch: it is not two-dimensional with `n_rows` rows.
        NonFiniteInput: a value is NaN or infinite; the first bad row and column are named.
    """
    matrix = np.asarray(values)
    if matrix.ndim != 2 or matrix.shape[0] != n_rows:
        raise ShapeMismatch(f"Expected a table of {n_rows} rows, got an array of shape {matrix.shape}.")
    table: Matrix = matrix if matrix.dtype in _KEPT else matrix.astype(np.float64)
    _require_finite(table)
    return table


def checked_vector(values: ArrayLike, n_rows: int, name: str) -> Floats:
    """Return `values` as a finite float64 vector `(n_rows,)`; errors as `checked_matrix`, calling it `name`."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (n_rows,):
        raise ShapeMismatch(f"Expected {n_rows} values of {name}, got an array of shape {vector.shape}.")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise NonFiniteInput(f"{name} of row {bad[0]} is {vector[bad[0]]} ({bad.size} such values in all).")
    return vector


def _require_finite(matrix: Matrix) -> None:
    for start in range(0, matrix.shape[0], 256):
        finite = np.isfinite(matrix[start : start + 256])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = matrix[start + row, column]
            raise NonFiniteInput(f"The value at row {start + row}, column {column} is {value}.")


def column_blocks(matrix: Matrix, rows: Ints) -> Iterator[tuple[slice, Matrix]]:
    """Yield a slice of columns and its transposed copy `(n_block, len(rows))` in the order of `rows`."""
    width = max(1, _BLOCK_ELEMENTS // max(1, rows.size))
    for start in range(0, matrix.shape[1], width):
        columns = slice(start, min(start + width, matrix.shape[1]))
        yield columns, np.ascontiguousarray(np.take(matrix[:, columns], rows, axis=0).T)
