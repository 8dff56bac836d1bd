"""Standardised effect sizes of every column: Cohen's d and Pearson (point-biserial) correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_matrix, checked_vector, column_blocks
from interp_lab.statistics.sample import Sample

_CONSTANT_SHARE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class EffectSize:
    """One value per column `(n_columns,)`."""

    d: Floats
    """Cohen's d: positives minus negatives over the pooled standard deviation, without Hedges' correction.

    Infinite, with its sign, where the classes differ and neither of them varies.
    """
    r: Floats
    """Pearson correlation with the score; with 0/1 labels as scores this is the point-biserial r. 0 for constants."""


def effect_size(values: ArrayLike, sample: Sample, *, scores: ArrayLike | None = None) -> EffectSize:
    """Return Cohen's d by label, and r with the graded `scores` (the labels themselves if None), of every column.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix` and `checked_vector`.

    Source: Cohen (1988, ch. 2), pooled variance with n - 2.
    """
    matrix = checked_matrix(values, sample.n_rows)
    labels = sample.labels.astype(np.float64)
    graded = labels if scores is None else checked_vector(scores, sample.n_rows, "score")
    graded = graded - graded.mean()
    d, r = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
    for columns, block in column_blocks(matrix, np.arange(sample.n_rows)):
        centred = block - block.mean(axis=1, keepdims=True, dtype=np.float64)
        total = np.einsum("ij,ij->i", centred, centred)
        total[block.min(axis=1) == block.max(axis=1)] = 0.0
        d[columns] = _cohen_d(centred @ labels, total, sample)
        r[columns] = _safe_ratio(centred @ graded, np.sqrt(total * (graded @ graded)))
    return EffectSize(d, np.clip(r, -1.0, 1.0))


def _cohen_d(positive_sum: Floats, total: Floats, sample: Sample) -> Floats:
    m, n = sample.n_positive, sample.n_negative
    # Columns are centred, so the negatives' sum is minus the positives'.
    difference = positive_sum * (1 / m + 1 / n)
    within = total - positive_sum**2 * (1 / m + 1 / n)
    within = np.where(within > _CONSTANT_SHARE * total, within, 0.0)
    ratio = _safe_ratio(difference, np.sqrt(within / (m + n - 2)))
    return np.where((within == 0) & (total > 0), np.copysign(np.inf, difference), ratio)


def _safe_ratio(top: Floats, bottom: Floats) -> Floats:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 0.0)
