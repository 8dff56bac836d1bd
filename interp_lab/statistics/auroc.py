"""AUROC with ties for every column, for one labelling or for many weightings of the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import LabelsUnusable
from interp_lab.statistics.arrays import Floats, checked_matrix, column_blocks
from interp_lab.statistics.distributions import student_critical
from interp_lab.statistics.ranks import rank_block
from interp_lab.statistics.wilson import wilson_interval

_LEAST_SHARE_OF_NULL_VARIANCE = 0.5


def auroc(values: ArrayLike, labels: ArrayLike) -> Floats:
    """Return per column `(n_columns,)` the probability that a positive row exceeds a negative one, ties counted half.

    Source: Mann and Whitney (1947); Bamber (1975).
    """
    flat = np.asarray(labels, dtype=np.bool_)
    return weighted_auroc(values, flat, np.ones((1, flat.size)))[0]


def weighted_auroc(values: ArrayLike, labels: ArrayLike, weights: ArrayLike) -> Floats:
    """Return `(n_weightings, n_columns)`: the AUROC under each row weighting, with one sort for all of them.

    Weights of 0 and 1 select rows (halves, sub-types), counts are a bootstrap draw.

    Raises:
        LabelsUnusable: a weighting leaves no positive or no negative row.
    """
    flat = np.asarray(labels, dtype=np.bool_)
    table = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    positive, negative = table * flat, table * ~flat
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    if not (pairs > 0).all():
        raise LabelsUnusable(f"Weighting {int(np.argmin(pairs > 0))} leaves no positive or no negative row.")
    matrix = checked_matrix(values, flat.size)
    out = np.empty((table.shape[0], matrix.shape[1]))
    for columns, block in column_blocks(matrix, np.arange(flat.size)):
        ranked = rank_block(block)
        for k in range(table.shape[0]):
            below = ranked.weight_below(negative[k])
            out[k, columns] = np.einsum("ij,ij->i", below, ranked.sorted_weights(positive[k])) / pairs[k]
    return out


def auroc_interval(
    estimate: Floats, variance: Floats, *, null_variance: Floats, df: Floats, n_groups: tuple[int, int], level: float
) -> tuple[Floats, Floats]:
    """Return `(low, high)`: Wilson's interval on the effective size that the cluster-robust variance implies.

    A sample variance near perfect separation says nothing (it is 0 when the classes do not overlap), so it is taken
    to be at least half of the variance that the null variance of the same column predicts at this AUROC. In
    simulations with 10 to 100 groups per class this keeps the 95 % interval's coverage near or above its level.

    Source: variance as a function of AUROC by Hanley and McNeil (1982), `n_groups` as class sizes.
    """
    spread = estimate * (1 - estimate)
    predicted = null_variance * 4 * _hanley_mcneil(estimate, n_groups) / _hanley_mcneil(np.array(0.5), n_groups)
    per_unit = np.where(spread > 0, variance / np.where(spread > 0, spread, 1.0), 0.0)
    per_unit = np.maximum(per_unit, _LEAST_SHARE_OF_NULL_VARIANCE * predicted)
    constant = per_unit <= 0
    low, high = wilson_interval(
        estimate, 1 / np.where(constant, 1.0, per_unit), critical=student_critical(level, df), level=level
    )
    return np.where(constant, estimate, low), np.where(constant, estimate, high)


def _hanley_mcneil(a: Floats, n_groups: tuple[int, int]) -> Floats:
    half = (n_groups[0] + n_groups[1]) / 2
    return 1 + (half - 1) * ((1 - a) / (2 - a) + a / (1 + a))
