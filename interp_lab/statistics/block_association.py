"""Association of every column of a block with one target: Pearson's r with a metric, AUROC with a label.

Both come with an interval and a p-value that count groups of rows, never rows. Rows of weight 0 are not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools, Floats, Ints
from interp_lab.statistics.auroc import auroc_interval
from interp_lab.statistics.blocks import Block
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.distributions import student_critical, student_tail
from interp_lab.statistics.side_balance import SideBalance
from interp_lab.statistics.sides import NEGATIVE, POSITIVE, Sides
from interp_lab.statistics.value_levels import Counts, Levels, Tally, below_twice

CORRELATION_INTERVAL = "Fisher z of Pearson's r with a cluster-robust standard error, Student t over groups"
AUROC_INTERVAL = "Wilson interval on the effective size of a cluster-robust AUROC variance"
TEST = "Student t of group sums of the centred products (of ranks for labels), over groups in which the unit is active"


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """One value per column `(n_columns,)`."""

    estimate: Floats
    """Pearson's r in [-1, 1], or AUROC in [0, 1]; 0 or 0.5 for a constant column."""
    low: Floats
    high: Floats
    p: Floats
    """Two-sided; 1 for a column that is active in fewer than two groups."""
    d: Floats | None = None
    """Cohen's d, for labels."""
    rate_with: Floats | None = None
    """Share of positive rows on which the column is above 0, for labels."""
    rate_without: Floats | None = None
    """The same of negative rows."""


@dataclass(frozen=True, eq=False)
class Target:
    """A metric or a 0/1 label over the rows of a `Clusters`, without the rows that lack it."""

    name: str
    values: Floats
    """`(n_rows,)`; anything finite where `known` is false."""
    known: Bools
    is_label: bool

    @cached_property
    def weights(self) -> Bools | None:
        """Where it is known, or None if that is on every row."""
        return None if self.known.all() else self.known

    @cached_property
    def sides(self) -> Sides:
        """Rows with and without a label."""
        return Sides.of(self.values > 0, self.known)

    @cached_property
    def standard(self) -> tuple[Floats, Floats]:
        """The values with mean 0 and variance 1 where they are known, 0 elsewhere; and their squares."""
        centred = np.where(self.known, self.values - self.values[self.known].mean(), 0.0)
        scaled = centred / np.sqrt((centred @ centred) / self.n_rows)
        return scaled, scaled**2

    @cached_property
    def n_rows(self) -> int:
        """Rows on which it is known."""
        return int(np.count_nonzero(self.known))

    def n_groups(self, clusters: Clusters) -> int:
        """Groups in which it is known."""
        return int(np.count_nonzero(clusters.weight_sums(self.weights) > 0))

    def why_unusable(self, clusters: Clusters) -> str | None:
        """Return why nothing can be said about it, or None."""
        known = self.values[self.known]
        if not known.size:
            return "it is known on none of the rows"
        if known.min() == known.max():
            return f"it is {known[0]:g} on every row"
        if self.n_groups(clusters) < 2:
            return "all its rows are in one group"
        if self.is_label:
            sides = self.sides.positive, self.sides.negative
            if min(np.count_nonzero(clusters.weight_sums(side)) for side in sides) < 2:
                return "one side of it is seen in one group only"
        return None


def associate(block: Block, target: Target, *, level: float = 0.95) -> Association:
    """Return the association of every column of the block with a usable target."""
    return _with_label(block, target, level) if target.is_label else correlate(block, target, level=level)


def correlate(block: Block, target: Target, *, level: float = 0.95) -> Association:
    """Return Pearson's r of every column with the target, over the rows on which it is known.

    Source: influence function of r, Devlin, Gnanadesikan and Kettenring (1975), summed over groups (CR1, Liang and
    Zeger 1986); the test centres its products at 0, so that it holds whatever the columns' higher moments are.
    """
    clusters, weights = block.clusters, target.weights
    n, (y, y_squared) = float(target.n_rows), target.standard
    mean, deviation = _moments(block, weights, n)
    z = block.standardised(mean, np.where(deviation > 0, deviation, 1.0))
    product = block.group_sums(z, y)
    r = np.where(deviation > 0, np.clip(product.sum(axis=1) / n, -1.0, 1.0), 0.0)
    influence = block.group_sums(z.squared(), weights)
    influence += clusters.weight_sums(y_squared)
    influence *= -r[:, None] / 2
    influence += product
    n_groups = int(np.count_nonzero(clusters.weight_sums(weights)))
    error = np.sqrt(_square_sum(influence) * n_groups / (n_groups - 1)) / n
    active = np.minimum(block.active_groups(weights), n_groups)
    low, high = _fisher(r, error, df=_df(active), level=level)
    known = (deviation > 0) & (active >= 2)
    p = np.where(known, _self_normalised_p(product, n_groups, _df(active)), 1.0)
    return Association(r, np.where(known, low, -1.0), np.where(known, high, 1.0), p)


def auroc_of(block: Block, target: Target) -> Floats:
    """Return the AUROC of every column alone: one pass over its values, then one over the distinct ones."""
    levels, tally = block.levels, block.tally(target.sides)
    return _auroc(levels, tally.positive, below_twice(levels, tally.negative), target.sides)


def cohen_d_of(block: Block, target: Target) -> Floats:
    """Return Cohen's d of every column with a label alone, from sums over its values."""
    x, m, n = block.values(), target.sides.n_positive, target.sides.n_negative
    positive = block.sums(x, target.sides.positive)
    negative = block.sums(x, target.weights) - positive
    return _cohen_d((positive, negative), block.sums(x.squared(), target.weights), (m, n))


def _with_label(block: Block, target: Target, level: float) -> Association:
    """AUROC and all that goes with it; see `separation` for the dense case with a permutation test.

    Source: placements and their cluster sums, Obuchowski (1997).
    """
    levels, sizes = block.levels, _Sizes.of(block.clusters, target.sides)
    tally = block.tally(target.sides)
    below = _Below(below_twice(levels, tally.positive), below_twice(levels, tally.negative))
    estimate = _auroc(levels, tally.positive, below.negative, target.sides)
    variance, df = _placement_variance(block, target.sides, below, estimate=estimate, sizes=sizes)
    scores = block.side_sums(_rank_scores(below, sizes), target.sides)
    active = np.minimum(block.active_groups(target.weights), sizes.n_groups)
    low, high = auroc_interval(
        estimate,
        variance,
        null_variance=_square_sum(scores) * sizes.n_groups / (sizes.n_groups - 1) / (sizes.m * sizes.n) ** 2,
        df=df,
        n_groups=(sizes.groups_p, sizes.groups_n),
        level=level,
    )
    known = active >= 2
    # sums over entries leave a rounding error where the sums over rows are 0, as of a column that is constant
    tells = _square_sum(scores) > (8 * np.finfo(np.float64).eps * (sizes.m + sizes.n) ** 2) ** 2
    p = np.where(known & tells, _self_normalised_p(scores, sizes.n_groups, _df(active)), 1.0)
    d, rate_with, rate_without = _at_levels(levels, tally, (sizes.m, sizes.n))
    return Association(estimate, np.where(known, low, 0.0), np.where(known, high, 1.0), p, d, rate_with, rate_without)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Positive and negative rows per group and in all."""

    positives: Floats
    negatives: Floats
    m: int
    n: int

    @classmethod
    def of(cls, clusters: Clusters, sides: Sides) -> _Sizes:
        positives, negatives = (clusters.weight_sums(side) for side in (sides.positive, sides.negative))
        return cls(positives, negatives, sides.n_positive, sides.n_negative)

    @property
    def groups_p(self) -> int:
        return int(np.count_nonzero(self.positives))

    @property
    def groups_n(self) -> int:
        return int(np.count_nonzero(self.negatives))

    @property
    def n_groups(self) -> int:
        return int(np.count_nonzero(self.positives + self.negatives))

    @cached_property
    def balance(self) -> SideBalance:
        return SideBalance.of(self.positives, self.negatives)


class _Below(NamedTuple):
    """Twice the rows of each side below every level, ties counted half."""

    positive: Counts
    negative: Counts


def _auroc(levels: Levels, positives: Counts, negatives_below: Counts, sides: Sides) -> Floats:
    return levels.sums(positives * negatives_below) / (2 * sides.n_positive * sides.n_negative)


def _placement_variance(
    block: Block, sides: Sides, below: _Below, *, estimate: Floats, sizes: _Sizes
) -> tuple[Floats, Floats]:
    """Variance of the AUROC from the group sums of its placements, and its degrees of freedom."""
    m, n = sizes.m, sizes.n
    # A positive's placement is the share of negatives below it, a negative's the share of positives above it.
    centre = estimate.take(block.levels.column)
    placed = np.empty((centre.size, 2))
    placed[:, POSITIVE] = (below.negative / (2 * n) - centre) / m
    placed[:, NEGATIVE] = ((2 * m - below.positive) / (2 * m) - centre) / n
    sums = block.side_sums(placed, sides)
    if sizes.balance.pure:
        of_positives = sums * (sizes.positives > 0)
    else:
        placed[:, NEGATIVE] = 0.0
        of_positives = block.side_sums(placed, sides)
    return sizes.balance.variances(of_positives, sums - of_positives)


def _rank_scores(below: _Below, sizes: _Sizes) -> Floats:
    """Centred rank times centred label, by level and side: their total is 0 when nothing separates."""
    n_rows = sizes.m + sizes.n
    rank = (below.positive + below.negative - n_rows) / 2
    out = np.empty((rank.size, 2))
    out[:, POSITIVE] = rank * (sizes.n / n_rows)
    out[:, NEGATIVE] = rank * (-sizes.m / n_rows)
    return out


def _at_levels(levels: Levels, tally: Tally, sizes: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Cohen's d, and how often a column is above 0 on positive and on negative rows."""
    totals = [levels.sums(side * levels.values) for side in tally]
    squares = levels.sums((tally.positive + tally.negative) * levels.values**2)
    rates = [levels.sums(side * (levels.values > 0)) / size for side, size in zip(tally, sizes, strict=True)]
    return _cohen_d((totals[0], totals[1]), squares, sizes), rates[0], rates[1]


def _cohen_d(totals: tuple[Floats, Floats], squares: Floats, sizes: tuple[int, int]) -> Floats:
    """Cohen's d from the sums over each side and of the squares over both."""
    means = [total / size for total, size in zip(totals, sizes, strict=True)]
    within = squares - sizes[0] * means[0] ** 2 - sizes[1] * means[1] ** 2
    return standardised(means[0] - means[1], np.maximum(within, 0.0) / (sum(sizes) - 2))


def standardised(difference: Floats, variance: Floats) -> Floats:
    """Return difference over standard deviation; 0 for no difference, signed infinity where nothing varies."""
    tiny = variance <= np.finfo(np.float64).eps * difference**2
    ratio = difference / np.sqrt(np.where(tiny, 1.0, variance))
    return np.where(tiny, np.where(difference == 0, 0.0, np.copysign(np.inf, difference)), ratio)


def _moments(block: Block, weights: Bools | None, n: float) -> tuple[Floats, Floats]:
    x = block.values()
    mean, mean_square = block.sums(x, weights) / n, block.sums(x.squared(), weights) / n
    variance = mean_square - mean**2
    constant = variance <= 8 * np.finfo(np.float64).eps * mean_square
    return mean, np.sqrt(np.where(constant, 0.0, variance))


def _square_sum(rows: Floats) -> Floats:
    return np.einsum("ij,ij->i", rows, rows)


def _df(active: Ints) -> Floats:
    return np.maximum(active - 1, 1).astype(np.float64)


def _self_normalised_p(scores: Floats, n_groups: int, df: Floats) -> Floats:
    """Two-sided p of the total of group scores; at most the number of active groups can make it small."""
    total, squares = scores.sum(axis=1), _square_sum(scores)
    around_mean = np.maximum(squares - total**2 / n_groups, np.finfo(np.float64).tiny)
    t = np.abs(total) * np.sqrt((n_groups - 1) / n_groups / around_mean)
    return np.where(squares > 0, np.minimum(1.0, 2 * student_tail(t, df)), 1.0)


def _fisher(r: Floats, error: Floats, *, df: Floats, level: float) -> tuple[Floats, Floats]:
    inside = np.clip(r, -1 + 1e-15, 1 - 1e-15)
    z, half = np.arctanh(inside), student_critical(level, df) * error / (1 - inside**2)
    exact: NDArray[np.bool_] = np.abs(r) >= 1 - 1e-12
    return np.where(exact, r, np.tanh(z - half)), np.where(exact, r, np.tanh(z + half))
