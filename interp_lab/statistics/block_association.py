"""Association of every column of a block with one target: Pearson's r with a metric, AUROC with a label.

Both come with an interval and a p-value that count groups of rows, never rows. Rows of weight 0 are not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools, Floats, Ints
from interp_lab.statistics.auroc import auroc_interval
from interp_lab.statistics.blocks import Block, RowValues, SparseBlock
from interp_lab.statistics.clusters import Clusters
from interp_lab.statistics.distributions import student_critical, student_tail

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
    def weights(self) -> Floats:
        """1 where known, else 0."""
        return self.known.astype(np.float64)

    @cached_property
    def sides(self) -> tuple[Floats, Floats]:
        """Positive and negative rows of a label, 1 where they are."""
        positive = np.where(self.known, self.values, 0.0)
        return positive, self.weights - positive

    @cached_property
    def standard(self) -> tuple[Floats, Floats]:
        """The values with mean 0 and variance 1 where they are known, 0 elsewhere; and their squares."""
        centred = np.where(self.known, self.values - self.values[self.known].mean(), 0.0)
        scaled = centred / np.sqrt((centred @ centred) / self.n_rows)
        return scaled, scaled**2

    @property
    def n_rows(self) -> int:
        """Rows on which it is known."""
        return int(np.count_nonzero(self.known))

    def n_groups(self, clusters: Clusters) -> int:
        """Groups in which it is known."""
        return int(np.count_nonzero(clusters.sums(self.weights) > 0))

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
            sides = [clusters.sums(self.weights * (self.values == side)) > 0 for side in (1, 0)]
            if min(np.count_nonzero(side) for side in sides) < 2:
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
    n = float(clusters.weight_sums(weights).sum())
    y, y_squared = target.standard
    x, squares = block.values(), _squares(block.values())
    sums, square_sums = block.group_sums(x, weights), block.group_sums(squares, weights)
    mean, deviation = _moments(sums, square_sums, n)
    safe = np.where(deviation > 0, deviation, 1.0)
    # Standardised per group: Σ z, Σ z², Σ zy, where z = (x - mean) / deviation.
    counts = clusters.weight_sums(weights)
    z_squared = (square_sums - 2 * mean[:, None] * sums + mean[:, None] ** 2 * counts) / safe[:, None] ** 2
    product = (block.group_sums(x, y) - mean[:, None] * clusters.weight_sums(y)) / safe[:, None]
    r = np.where(deviation > 0, np.clip(product.sum(axis=1) / n, -1.0, 1.0), 0.0)
    influence = product - r[:, None] / 2 * (z_squared + clusters.weight_sums(y_squared))
    n_groups = int(np.count_nonzero(counts))
    error = np.sqrt(_square_sum(influence) * n_groups / (n_groups - 1)) / n
    active = np.minimum(block.active_groups(weights), n_groups)
    low, high = _fisher(r, error, df=_df(active), level=level)
    known = (deviation > 0) & (active >= 2)
    p = np.where(known, _self_normalised_p(product, n_groups, _df(active)), 1.0)
    return Association(r, np.where(known, low, -1.0), np.where(known, high, 1.0), p)


def auroc_of(block: Block, target: Target) -> Floats:
    """Return the AUROC of every column alone, from one pass over the block's entries."""
    y, negative = target.sides
    wins = block.wins(y, negative) if isinstance(block, SparseBlock) else block.sums(block.below(negative), y)
    return wins / (y.sum() * negative.sum())


def _with_label(block: Block, target: Target, level: float) -> Association:
    """AUROC and all that goes with it; see `separation` for the dense case with a permutation test.

    Source: placements and their cluster sums, Obuchowski (1997).
    """
    clusters, weights = block.clusters, target.weights
    y, negative = target.sides
    sizes = _Sizes.of(clusters, target)
    m, n = sizes.m, sizes.n
    below, negatives_below = block.below(weights), block.below(negative)
    sums = {
        (name, side): block.group_sums(values, side_weights)
        for name, values in (("all", below), ("negative", negatives_below))
        for side, side_weights in (("p", y), ("n", negative))
    }
    estimate = sums["negative", "p"].sum(axis=1) / (m * n)
    variance, df = _placement_variance(sums, estimate, sizes)
    scores = _rank_scores(sums, sizes)
    n_groups = int(np.count_nonzero(sizes.positives + sizes.negatives))
    active = np.minimum(block.active_groups(weights), n_groups)
    low, high = auroc_interval(
        estimate,
        variance,
        null_variance=_square_sum(scores) * n_groups / (n_groups - 1) / (m * n) ** 2,
        df=df,
        n_groups=(int(np.count_nonzero(sizes.positives)), int(np.count_nonzero(sizes.negatives))),
        level=level,
    )
    known = active >= 2
    p = np.where(known, _self_normalised_p(scores, n_groups, _df(active)), 1.0)
    fires = _fires(block.values())
    return Association(
        estimate,
        np.where(known, low, 0.0),
        np.where(known, high, 1.0),
        p,
        d=cohen_d_of(block, (y, negative)),
        rate_with=block.sums(fires, y) / m,
        rate_without=block.sums(fires, negative) / n,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sizes:
    """Positive and negative rows per group and in all."""

    positives: Floats
    negatives: Floats
    m: float
    n: float

    @classmethod
    def of(cls, clusters: Clusters, target: Target) -> _Sizes:
        positives, negatives = (clusters.weight_sums(side) for side in target.sides)
        return cls(positives, negatives, float(positives.sum()), float(negatives.sum()))


def _placement_variance(sums: dict[tuple[str, str], Floats], estimate: Floats, sizes: _Sizes) -> tuple[Floats, Floats]:
    """Variance of the AUROC from the group sums of its placements, and its degrees of freedom (Welch-Satterthwaite)."""
    m, n = sizes.m, sizes.n
    part_p = sums["negative", "p"] / (n * m) - estimate[:, None] * sizes.positives / m
    positives_above = sizes.negatives * m - (sums["all", "n"] - sums["negative", "n"])
    part_n = positives_above / (n * m) - estimate[:, None] * sizes.negatives / n
    groups_p, groups_n = np.count_nonzero(sizes.positives), np.count_nonzero(sizes.negatives)
    n_groups = int(np.count_nonzero(sizes.positives + sizes.negatives))
    spread_p = _square_sum(part_p) * groups_p / (groups_p - 1)
    spread_n = _square_sum(part_n) * groups_n / (groups_n - 1)
    pure = not (sizes.positives * sizes.negatives).any()
    total = spread_p + spread_n if pure else _square_sum(part_p + part_n) * n_groups / (n_groups - 1)
    weight = spread_p**2 / (groups_p - 1) + spread_n**2 / (groups_n - 1)
    least = float(min(groups_p, groups_n) - 1)
    df = np.where(weight > 0, (spread_p + spread_n) ** 2 / np.where(weight > 0, weight, 1.0), least)
    return total, np.clip(df, 1.0, n_groups - 1)


def _rank_scores(sums: dict[tuple[str, str], Floats], sizes: _Sizes) -> Floats:
    """Group sums of centred rank times centred label: their total is 0 when nothing separates."""
    n_rows = sizes.m + sizes.n
    share = sizes.m / n_rows
    on_positives = sums["all", "p"] - n_rows / 2 * sizes.positives
    on_negatives = sums["all", "n"] - n_rows / 2 * sizes.negatives
    return (1 - share) * on_positives - share * on_negatives


def cohen_d_of(block: Block, sides: tuple[Floats, Floats]) -> Floats:
    """Return Cohen's d of every column between two sets of rows, given by their weights of 0 or 1 `(n_rows,)`."""
    x, squares = block.values(), _squares(block.values())
    means: list[Floats] = []
    within = np.zeros(block.n_columns)
    for side in sides:
        total = block.sums(x, side)
        means.append(total / block.clusters.weight_sums(side).sum())
        within += block.sums(squares, side) - total * means[-1]
    n = float(sum(block.clusters.weight_sums(side).sum() for side in sides))
    return standardised(means[0] - means[1], np.maximum(within, 0.0) / (n - 2))


def standardised(difference: Floats, variance: Floats) -> Floats:
    """Return difference over standard deviation; 0 for no difference, signed infinity where nothing varies."""
    tiny = variance <= np.finfo(np.float64).eps * difference**2
    ratio = difference / np.sqrt(np.where(tiny, 1.0, variance))
    return np.where(tiny, np.where(difference == 0, 0.0, np.copysign(np.inf, difference)), ratio)


def _squares(values: RowValues) -> RowValues:
    return RowValues(values.at**2, None if values.rest is None else values.rest**2)


def _fires(values: RowValues) -> RowValues:
    rest = None if values.rest is None else (values.rest > 0).astype(np.float64)
    return RowValues((values.at > 0).astype(np.float64), rest)


def _moments(sums: Floats, square_sums: Floats, n: float) -> tuple[Floats, Floats]:
    mean = sums.sum(axis=1) / n
    mean_square = square_sums.sum(axis=1) / n
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
