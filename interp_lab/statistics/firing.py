"""How often each column fires: on positives, on negatives, and over all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_matrix, column_blocks
from interp_lab.statistics.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Firing:
    """Shares of rows in [0, 1], one per column `(n_columns,)`."""

    on_positives: Floats
    on_negatives: Floats
    density: Floats
    """Share of all rows on which the column fires: density over prompts, not over tokens."""


def firing(values: ArrayLike, sample: Sample, *, above: float = 0.0) -> Firing:
    """Return firing rates; a column fires on a row when its value exceeds `above`, in the column's own unit."""
    matrix = checked_matrix(values, sample.n_rows)
    positive = sample.labels.astype(np.float64)
    out = np.empty((2, matrix.shape[1]))
    for columns, block in column_blocks(matrix, np.arange(sample.n_rows)):
        fires = (block > above).astype(np.float64)
        out[0, columns] = fires @ positive
        out[1, columns] = fires @ (1 - positive)
    return Firing(out[0] / sample.n_positive, out[1] / sample.n_negative, (out[0] + out[1]) / sample.n_rows)
