"""The separation that is left of every column after covariates have explained what they can.

AUROC - 0.5 is the slope of the fractional rank on the label. Adding covariates to that regression gives an adjusted
AUROC on the same scale: both the ranks and the label are replaced by what the covariates do not explain. Where the
covariates explain the label itself, nothing can be told apart, and the answer says so instead of guessing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, Matrix, checked_matrix, column_blocks
from interp_lab.statistics.auroc import auroc_interval
from interp_lab.statistics.distributions import student_tail
from interp_lab.statistics.ranks import rank_block
from interp_lab.statistics.sample import Sample

LEAST_LABEL_LEFT = 0.02
_EDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Adjusted:
    """Adjusted separation, one value per column `(n_columns,)`."""

    auroc: Floats
    """0.5 where not separable."""
    low: Floats
    high: Floats
    p: Floats
    """Two-sided, cluster-robust t."""
    label_left: float
    """Share of the label's variance that the covariates do not explain."""
    separable: bool
    """False when the covariates leave too little of the label: the interval is then [0, 1] and p is 1."""


@dataclass(frozen=True, eq=False)
class _Design:
    sample: Sample
    explained: Floats
    """Orthonormal columns `(n_rows, rank)`, rows in group order."""
    label: Floats
    """What the columns leave of the label."""
    df: float
    level: float


def adjusted_separation(values: ArrayLike, sample: Sample, basis: ArrayLike, *, level: float = 0.95) -> Adjusted:
    """Return the separation of every column of `values` left after the columns of `basis` `(n_rows, n_basis)`.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: rank analysis of covariance, Quade (1967), by Frisch-Waugh; group-robust variance CR1, Liang and
    Zeger (1986). We differ in keeping AUROC's own interval, and the groups of the smaller class less one as df.
    """
    matrix = checked_matrix(values, sample.n_rows)
    design, left = _design(sample, checked_matrix(basis, sample.n_rows), level)
    n_columns = matrix.shape[1]
    if left < LEAST_LABEL_LEFT or design.explained.shape[1] >= sample.n_groups - 1:
        ones = np.ones(n_columns)
        return Adjusted(ones / 2, ones * 0, ones, ones.copy(), left, separable=False)
    out = np.empty((4, n_columns))
    for columns, block in column_blocks(matrix, sample.by_group):
        out[:, columns] = _adjust(block, design)
    return Adjusted(out[0], out[1], out[2], out[3], left, separable=True)


def _design(sample: Sample, basis: Matrix, level: float) -> tuple[_Design, float]:
    ordered = np.column_stack([np.ones(sample.n_rows), basis[sample.by_group]]).astype(np.float64)
    left_vectors, singular, _ = np.linalg.svd(ordered, full_matrices=False)
    explained = left_vectors[:, singular > singular[0] * 1e-10]
    label = sample.labels[sample.by_group].astype(np.float64)
    rest = label - explained @ (explained.T @ label)
    share = float(rest @ rest) * sample.n_rows / (sample.n_positive * sample.n_negative)
    df = float(min(sample.n_positive_groups, sample.n_negative_groups) - 1)
    return _Design(sample, explained, rest, df, level), share


def _adjust(block: Matrix, design: _Design) -> Floats:
    sample, label = design.sample, design.label
    ranked = rank_block(block)
    ranks = ranked.in_row_order(ranked.rows_below()) / sample.n_rows - 0.5
    ranks -= (ranks @ design.explained) @ design.explained.T
    slope = ranks @ label / (label @ label)
    null_variance = _variance(ranks, design)
    estimate = np.clip(0.5 + slope, 0.0, 1.0)
    inside, variance = _off_the_bound(estimate, _variance(ranks - slope[:, None] * label, design))
    low, high = auroc_interval(
        inside,
        variance,
        null_variance=null_variance,
        df=np.full(slope.shape, design.df),
        n_groups=(sample.n_positive_groups, sample.n_negative_groups),
        level=design.level,
    )
    low, high = np.minimum(low, estimate), np.maximum(high, estimate)
    return np.stack([estimate, low, high, np.minimum(1.0, 2 * student_tail(_t(ranks * label, sample), design.df))])


def _off_the_bound(estimate: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return the estimate just inside its bounds, and the variance that the interval of a share should be given there.

    The variance of a share vanishes towards 0 and 1, that of a slope does not. Divided by a vanishing spread it would
    leave next to no effective sample, and a latent that separates perfectly would look explained by the covariates. So
    the spread is taken no nearer to the bound than one standard error.
    """
    inside = np.clip(estimate, _EDGE, 1 - _EDGE)
    reach = np.clip(np.sqrt(variance), _EDGE, 0.5)
    held = np.clip(inside, reach, 1 - reach)
    return inside, variance * (inside * (1 - inside)) / (held * (1 - held))


def _t(products: Floats, sample: Sample) -> Floats:
    """Student's t of the mean of the group sums, from their mean square around 0: the null says that 0 is the mean."""
    sums = sample.group_sums(products)
    total, squares = sums.sum(axis=1), np.einsum("ij,ij->i", sums, sums)
    around_mean = np.maximum(squares - total**2 / sample.n_groups, np.finfo(np.float64).tiny)
    t = np.abs(total) * np.sqrt((sample.n_groups - 1) / sample.n_groups / around_mean)
    return np.where(squares > 0, t, 0.0)


def _variance(residual: Floats, design: _Design) -> Floats:
    sample = design.sample
    sums = sample.group_sums(residual * design.label)
    small_sample = sample.n_groups / (sample.n_groups - 1)
    small_sample *= (sample.n_rows - 1) / max(1, sample.n_rows - design.explained.shape[1] - 1)
    return np.einsum("ij,ij->i", sums, sums) * small_sample / float(design.label @ design.label) ** 2
