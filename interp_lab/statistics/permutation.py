"""The group permutation test: in closed form for every column, and by Monte Carlo for the few that need it.

Which labels may change places: whole groups exchange labels where each group has one label; rows exchange labels inside
a group that has both (a counterfactual pair, a template with two fillings). What differs between such mixed groups
is their own and never counts for a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools, Floats, Ints
from interp_lab.statistics.distributions import log_gamma, pearson3_two_sided
from interp_lab.statistics.sample import Sample


@dataclass(frozen=True, eq=False)
class Relabelling:
    """The set of label assignments that are equally likely under the null; rows in the order of `sample.by_group`."""

    sample: Sample

    @cached_property
    def labels(self) -> Floats:
        """Labels as 0.0 and 1.0 in group order."""
        return self.sample.labels[self.sample.by_group].astype(np.float64)

    @cached_property
    def sizes(self) -> Ints:
        """Rows per group."""
        return np.diff(np.append(self.sample.starts, self.sample.n_rows))

    @cached_property
    def positives(self) -> Floats:
        """Positive rows per group."""
        return self.sample.group_sums(self.labels)

    @cached_property
    def pure(self) -> Bools:
        """Groups whose rows all have one label."""
        return (self.positives == 0) | (self.positives == self.sizes)

    @cached_property
    def centre(self) -> Floats:
        """Expected label of each row under relabelling."""
        of_group = self.positives / self.sizes
        pure_labels = of_group[self.pure]
        expected = np.where(self.pure, pure_labels.mean() if pure_labels.size else 0.0, of_group)
        return np.repeat(expected, self.sizes)

    @cached_property
    def within(self) -> tuple[Floats, Floats]:
        """Per row, the factors of squared and cubed within-group deviations in the second and third cumulant."""
        sizes = self.sizes.astype(np.float64)
        deviation = self.labels - self.centre
        second = self.sample.group_sums(deviation**2) / np.maximum(sizes - 1, 1)
        third = sizes * self.sample.group_sums(deviation**3)
        third = np.where(sizes > 2, third / np.maximum((sizes - 1) * (sizes - 2), 1), 0.0)
        mixed = ~self.pure
        return np.repeat(second * mixed, self.sizes), np.repeat(third * mixed, self.sizes)

    def shuffled(self, rng: np.random.Generator) -> Bools:
        """Return one relabelling of the rows, in the original row order."""
        labels = self.labels.copy()
        pure = np.flatnonzero(self.pure)
        new = rng.permutation(self.positives[pure] > 0)
        for group, label in zip(pure.tolist(), new, strict=True):
            labels[self.rows(group)] = label
        for group in np.flatnonzero(~self.pure).tolist():
            labels[self.rows(group)] = rng.permutation(labels[self.rows(group)])
        out = np.empty(labels.size, dtype=np.bool_)
        out[self.sample.by_group] = labels > 0
        return out

    def rows(self, group: int) -> slice:
        """Return the rows of a group, in group order."""
        start = int(self.sample.starts[group])
        return slice(start, start + int(self.sizes[group]))


@dataclass(frozen=True, slots=True, eq=False)
class RankSumTest:
    """Closed-form permutation test of a rank sum over the positives, per column."""

    p: Floats
    """Two-sided p-value."""
    variance: Floats
    """Variance of the rank sum over all relabellings."""


def rank_sum_test(ranks: Floats, active: Bools, relabelling: Relabelling) -> RankSumTest:
    """Return the test for centred midranks `(n_columns, n_rows)`, rows in group order.

    `active` marks values above the column's smallest: the p-value is never below the probability of exactly this
    labelling of the active groups, which keeps a latent that fires in three groups from looking impossible.

    Source: finite-population cumulants of a linear statistic; three-moment fit as in `pearson3_two_sided`.
    """
    second, third = _cumulants(ranks, relabelling)
    safe = np.where(second > 0, second, 1.0)
    z = np.where(second > 0, ranks @ (relabelling.labels - relabelling.centre) / np.sqrt(safe), 0.0)
    p = pearson3_two_sided(z, np.where(second > 0, third / safe**1.5, 0.0))
    p = np.where(second > 0, p, 1.0)
    return RankSumTest(np.maximum(p, _smallest_possible(active, relabelling)), second)


def monte_carlo_p(
    statistic: Callable[[Bools], Floats], sample: Sample, *, seed: int, draws: int = 999
) -> NDArray[np.float64]:
    """Return (1 + draws at least as extreme) / (1 + draws), two-sided around 0, for any array statistic of labels.

    Source: Phipson and Smyth (2010): the observed labelling counts as one draw, so p is never 0.
    """
    relabelling = Relabelling(sample)
    rng = np.random.default_rng(seed)
    observed = np.abs(statistic(sample.labels))
    exceeded = np.ones_like(observed)
    for _ in range(draws):
        exceeded += np.abs(statistic(relabelling.shuffled(rng))) >= observed - 1e-12
    return exceeded / (draws + 1)


def _cumulants(ranks: Floats, relabelling: Relabelling) -> tuple[Floats, Floats]:
    second = np.zeros(ranks.shape[0])
    third = np.zeros(ranks.shape[0])
    sums = relabelling.sample.group_sums(ranks)
    pure = relabelling.pure
    k = int(pure.sum())
    if k >= 2:
        units = sums[:, pure]
        units = units - units.mean(axis=1, keepdims=True)
        labels = (relabelling.positives[pure] > 0).astype(np.float64)
        labels -= labels.mean()
        squared = units**2
        second += squared.sum(axis=1) * (labels**2).sum() / (k - 1)
        if k >= 3:
            third += np.einsum("ij,ij->i", squared, units) * (labels**3).sum() * k / ((k - 1) * (k - 2))
    if k < pure.size:
        deviation = ranks - np.repeat(sums / relabelling.sizes, relabelling.sizes, axis=1)
        squared = deviation**2
        second += squared @ relabelling.within[0]
        third += (squared * deviation) @ relabelling.within[1]
    return second, third


def _smallest_possible(active: Bools, relabelling: Relabelling) -> Floats:
    """Twice the probability of the observed labelling of the active units, whole groups and rows of mixed groups."""
    sample, pure = relabelling.sample, relabelling.pure
    flags = active.astype(np.float64)
    taken, hit = sample.group_sums(flags).astype(np.intp), sample.group_sums(flags * relabelling.labels).astype(np.intp)
    log_p = np.zeros(active.shape[0])
    if pure.any():
        groups = taken[:, pure] > 0
        positive = relabelling.positives[pure] > 0
        units = np.array([[positive.size], [positive.sum()]], dtype=np.intp)
        log_p += _log_labelling(groups.sum(axis=1), (groups & positive).sum(axis=1), units)
    if not pure.all():
        units = np.stack([relabelling.sizes[~pure], relabelling.positives[~pure].astype(np.intp)])
        log_p += _log_labelling(taken[:, ~pure], hit[:, ~pure], units).sum(axis=1)
    return np.minimum(1.0, 2 * np.exp(log_p))


def _log_labelling(taken: Ints, hit: Ints, units: Ints) -> Floats:
    """Log probability of the labels of the `taken` among n, m = `units`, where `hit` of the taken are positive."""
    n, m = units
    table = log_gamma(np.arange(1, int(n.max()) + 2))
    rest, left = n - taken, m - hit
    return table[rest] - table[left] - table[rest - left] - (table[n] - table[m] - table[n - m])
