"""How well each column separates positives from negatives: AUROC, its interval and its p-value, from one sort.

All inference is on groups. The interval and the test are two different questions: the interval asks how far this AUROC
may be from the population's (cluster-robust), the test whether labels could have fallen like this by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Bools, Floats, Matrix, checked_matrix, column_blocks
from interp_lab.statistics.auroc import auroc_interval
from interp_lab.statistics.permutation import RankSumTest, rank_sum_test
from interp_lab.statistics.relabelling import Relabelling
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.side_balance import SideBalance
from interp_lab.statistics.value_levels import below_twice, sorted_levels

INTERVAL_METHOD = "Wilson interval on the effective size of a cluster-robust AUROC variance"
TEST_METHOD = "group permutation test of the rank sum: every labelling if these are few, else its moments"


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """One value per column `(n_columns,)`."""

    auroc: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    p: Floats
    """Two-sided."""
    least_p: Floats
    """No labelling of these groups gives a smaller one."""


def separation(values: ArrayLike, sample: Sample, *, level: float = 0.95) -> Separation:
    """Return AUROC, interval at `level` and permutation p of every column of `values` `(n_rows, n_columns)`.

    A constant column has AUROC 0.5, interval [0.5, 0.5], p 1 and least p 1.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: placements and their cluster sums, Obuchowski (1997); variance and degrees of freedom as `SideBalance`.
    """
    matrix = checked_matrix(values, sample.n_rows)
    relabelling = Relabelling(sample)
    out = np.empty((6, matrix.shape[1]))
    for columns, block in column_blocks(matrix, sample.by_group):
        out[:, columns] = _separate(block, relabelling, level)
    return Separation(*out)


def _separate(block: Matrix, relabelling: Relabelling, level: float) -> Floats:
    sample = relabelling.sample
    levels, at = sorted_levels(block)
    counts = np.bincount((2 * at + (relabelling.labels > 0)).ravel(), minlength=2 * levels.values.size)
    below = (below_twice(levels, counts[0::2] + counts[1::2]) / 2).take(at)
    negatives_below = (below_twice(levels, counts[0::2]) / 2).take(at)
    estimate = negatives_below @ relabelling.labels / (sample.n_positive * sample.n_negative)
    variance, df = _cluster_variance(negatives_below, below, estimate, relabelling)
    test = rank_sum_test(below - sample.n_rows / 2, block > block.min(axis=1, keepdims=True), relabelling)
    low, high = auroc_interval(
        estimate,
        variance,
        null_variance=_null_variance(test, sample),
        df=df,
        n_groups=(sample.n_positive_groups, sample.n_negative_groups),
        level=level,
    )
    return np.stack([estimate, low, high, np.sqrt(variance), test.p, test.least])


def _null_variance(test: RankSumTest, sample: Sample) -> Floats:
    return test.variance / (sample.n_positive * sample.n_negative) ** 2


def _cluster_variance(
    negatives_below: Floats, below: Floats, estimate: Floats, relabelling: Relabelling
) -> tuple[Floats, Floats]:
    """Variance of the AUROC from the group sums of its placements, and its degrees of freedom."""
    sample = relabelling.sample
    positive = relabelling.labels > 0
    m, n = sample.n_positive, sample.n_negative
    # A positive's placement is the share of negatives below it; a negative's the share of positives above it.
    centred = np.where(
        positive,
        (negatives_below / n - estimate[:, None]) / m,
        ((m - below + negatives_below) / m - estimate[:, None]) / n,
    )
    return SideBalance.of(_rows_per_group(sample, sample.labels), _rows_per_group(sample, ~sample.labels)).variances(
        sample.group_sums(centred * positive), sample.group_sums(centred * ~positive)
    )


def _rows_per_group(sample: Sample, side: Bools) -> Floats:
    return np.bincount(sample.groups, weights=side, minlength=sample.n_groups).astype(np.float64)
