"""How far two slices of rows differ in every column: Cohen's d with an interval and a p-value that count groups.

The slices may share groups (two tokens of one prompt, two models on one prompt) or rows; what they share is taken into
account through the sums of each group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.block_association import standardised
from interp_lab.statistics.blocks import Block
from interp_lab.statistics.distributions import student_critical, student_tail

DIFFERENCE_INTERVAL = "linearised Cohen's d with a cluster-robust standard error, Student t over groups"


@dataclass(frozen=True, slots=True, eq=False)
class SliceSums:
    """What one slice contributes: group sums of the values and of their squares."""

    groups: Ints
    """Group ids, ascending `(n_groups,)`."""
    counts: Floats
    """Rows per group `(n_groups,)`."""
    sums: Floats
    """`(n_columns, n_groups)`."""
    square_sums: Floats
    """`(n_columns, n_groups)`."""
    active: Floats
    """1 where a column is anywhere not 0 in the group `(n_columns, n_groups)`."""

    @classmethod
    def of(cls, block: Block) -> SliceSums:
        """Return the sums of every row of the block."""
        values = block.values()
        square_sums = block.group_sums(values.squared())
        return cls(
            groups=block.clusters.names,
            counts=block.clusters.sizes,
            sums=block.group_sums(values),
            square_sums=square_sums,
            active=(square_sums > 0).astype(np.float64),
        )

    def over(self, groups: Ints) -> SliceSums:
        """Return the same sums over these groups, which hold all of its own."""
        at = np.searchsorted(groups, self.groups)

        def spread(table: Floats) -> Floats:
            wide = np.zeros((*table.shape[:-1], groups.size))
            wide[..., at] = table
            return wide

        return SliceSums(
            groups,
            spread(self.counts),
            spread(self.sums),
            square_sums=spread(self.square_sums),
            active=spread(self.active),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """One value per column `(n_columns,)`."""

    mean_a: Floats
    mean_b: Floats
    d: Floats
    """Cohen's d of a minus b, pooled variance with n - 2."""
    low: Floats
    high: Floats
    p: Floats
    """Two-sided, against equal means."""
    n_groups: int


def slice_difference(a: SliceSums, b: SliceSums, *, level: float = 0.95) -> Difference:
    """Return the difference a - b of every column; groups with the same id are the same group.

    Raises:
        ShapeMismatch: the slices have different numbers of columns.
        TooFewGroups: a slice has rows of fewer than two groups, so that nothing can be said about its spread.

    Source: influence function of a standardised difference, summed over groups (CR1, Liang and Zeger 1986).
    """
    if a.sums.shape[0] != b.sums.shape[0]:
        raise ShapeMismatch(f"The slices have {a.sums.shape[0]} and {b.sums.shape[0]} units.")
    for name, part in (("a", a), ("b", b)):
        if part.groups.size < 2:
            raise TooFewGroups(
                f"Slice {name} has rows of {part.groups.size} group; two are the least that has a spread."
            )
    groups = np.union1d(a.groups, b.groups)
    a, b = a.over(groups), b.over(groups)
    n_a, n_b = float(a.counts.sum()), float(b.counts.sum())
    mean_a, mean_b = a.sums.sum(axis=1) / n_a, b.sums.sum(axis=1) / n_b
    square_a, square_b = _centred_squares(a, mean_a), _centred_squares(b, mean_b)
    variance = (square_a.sum(axis=1) + square_b.sum(axis=1)) / (n_a + n_b - 2)
    d = standardised(mean_a - mean_b, variance)
    shift = (a.sums - mean_a[:, None] * a.counts) / n_a - (b.sums - mean_b[:, None] * b.counts) / n_b
    spread = (square_a + square_b - variance[:, None] * (a.counts + b.counts)) / (n_a + n_b)
    safe = np.where(variance > 0, variance, 1.0)
    finite = np.where(np.isfinite(d), d, 0.0)
    influence = shift / np.sqrt(safe)[:, None] - (finite / (2 * safe))[:, None] * spread
    small_sample = groups.size / (groups.size - 1)
    active = np.count_nonzero((a.active + b.active) > 0, axis=1)
    df = np.maximum(active - 1, 1).astype(np.float64)
    half = student_critical(level, df) * np.sqrt(small_sample * _square_sum(influence))
    known = (active >= 2) & (variance > 0)
    error = np.sqrt(small_sample * _square_sum(shift))
    t = np.abs(mean_a - mean_b) / np.where(error > 0, error, 1.0)
    p = np.where(known & (error > 0), np.minimum(1.0, 2 * student_tail(t, df)), 1.0)
    return Difference(
        mean_a,
        mean_b,
        d,
        low=np.where(known, d - half, d),
        high=np.where(known, d + half, d),
        p=p,
        n_groups=groups.size,
    )


def _centred_squares(part: SliceSums, mean: Floats) -> Floats:
    centred = part.square_sums - 2 * mean[:, None] * part.sums + mean[:, None] ** 2 * part.counts
    rounding = 8 * np.finfo(np.float64).eps * (part.square_sums + mean[:, None] ** 2 * part.counts)
    return np.where(centred > rounding, centred, 0.0)


def _square_sum(rows: Floats) -> Floats:
    return np.einsum("ij,ij->i", rows, rows)
