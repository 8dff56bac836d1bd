"""How well each column separates positives from negatives: AUROC, its interval and its p-value, from one sort.

All inference is on groups. The interval and the test are two different questions: the interval asks how far this AUROC
may be from the population's (cluster-robust), the test whether labels could have fallen like this by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, Matrix, checked_matrix, column_blocks
from interp_lab.statistics.auroc import auroc_interval
from interp_lab.statistics.permutation import RankSumTest, rank_sum_test
from interp_lab.statistics.ranks import rank_block
from interp_lab.statistics.relabelling import Relabelling
from interp_lab.statistics.sample import Sample

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


def separation(values: ArrayLike, sample: Sample, *, level: float = 0.95) -> Separation:
    """Return AUROC, interval at `level` and permutation p of every column of `values` `(n_rows, n_columns)`.

    A constant column has AUROC 0.5, interval [0.5, 0.5] and p 1.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: placements and their cluster sums, Obuchowski (1997); degrees of freedom Welch-Satterthwaite.
    """
    matrix = checked_matrix(values, sample.n_rows)
    relabelling = Relabelling(sample)
    out = np.empty((5, matrix.shape[1]))
    for columns, block in column_blocks(matrix, sample.by_group):
        out[:, columns] = _separate(block, relabelling, level)
    return Separation(out[0], out[1], out[2], out[3], out[4])


def _separate(block: Matrix, relabelling: Relabelling, level: float) -> Floats:
    sample = relabelling.sample
    ranked = rank_block(block)
    below = ranked.in_row_order(ranked.rows_below())
    negatives_below = ranked.in_row_order(ranked.weight_below(1 - relabelling.labels))
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
    return np.stack([estimate, low, high, np.sqrt(variance), test.p])


def _null_variance(test: RankSumTest, sample: Sample) -> Floats:
    return test.variance / (sample.n_positive * sample.n_negative) ** 2


def _cluster_variance(
    negatives_below: Floats, below: Floats, estimate: Floats, relabelling: Relabelling
) -> tuple[Floats, Floats]:
    """Variance of the AUROC from the group sums of its placements, and its degrees of freedom."""
    sample = relabelling.sample
    positive, negative = relabelling.labels > 0, relabelling.labels == 0
    m, n = sample.n_positive, sample.n_negative
    # A positive's placement is the share of negatives below it; a negative's the share of positives above it.
    centred = np.where(
        positive,
        (negatives_below / n - estimate[:, None]) / m,
        ((m - below + negatives_below) / m - estimate[:, None]) / n,
    )
    total = _spread(sample.group_sums(centred), sample.n_groups)
    part_p = _spread(sample.group_sums(centred * positive), sample.n_positive_groups)
    part_n = _spread(sample.group_sums(centred * negative), sample.n_negative_groups)
    if relabelling.pure.all():
        total = part_p + part_n
    weight = part_p**2 / (sample.n_positive_groups - 1) + part_n**2 / (sample.n_negative_groups - 1)
    least = float(min(sample.n_positive_groups, sample.n_negative_groups) - 1)
    df = np.where(weight > 0, (part_p + part_n) ** 2 / np.where(weight > 0, weight, 1.0), least)
    return total, np.clip(df, 1.0, sample.n_groups - 1)


def _spread(sums: Floats, n_groups: int) -> Floats:
    return np.einsum("ij,ij->i", sums, sums) * n_groups / (n_groups - 1)
