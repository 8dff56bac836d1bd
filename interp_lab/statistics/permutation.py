"""The group permutation test of a rank sum, for every column at once, and by Monte Carlo for any other statistic.

Where the groups allow few labellings all of them are tried; beyond that their moments are known in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools, Floats
from interp_lab.statistics.distributions import log_gamma, pearson2_two_sided, pearson3_two_sided
from interp_lab.statistics.relabelling import Relabelling
from interp_lab.statistics.row_exchange import row_exchange
from interp_lab.statistics.sample import Sample

_MOST_SORTED = 512
"""Sums that are sorted per column to try every labelling: enough for 16 mixed groups, or 5 pure ones of each label."""
_ELEMENTS = 1 << 18
_ROUNDING = 1e-9
_LOG_2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True, eq=False)
class RankSumTest:
    """Permutation test of a rank sum over the positives, per column."""

    p: Floats
    """Two-sided p-value."""
    variance: Floats
    """Variance of the rank sum over all relabellings; of two nulls the larger."""
    least: Floats
    """No labelling gives a smaller p; 1 where all values are equal."""


def rank_sum_test(ranks: Floats, active: Bools, relabelling: Relabelling) -> RankSumTest:
    """Return the test for centred midranks `(n_columns, n_rows)`, rows in group order.

    `active` marks values above the column's smallest: the p-value is never below the probability of exactly this
    labelling of the active groups, which keeps a latent that fires in three groups from looking impossible. Where mixed
    groups have unequal sides, p is the larger of those by turning the groups and by `row_exchange`.

    Source: finite-population cumulants of a linear statistic, fitted as in `pearson3_two_sided`; for mixed groups alone
    cumulants of a sum of random signs, fitted as in `pearson2_two_sided`.
    """
    parts = relabelling.parts(ranks)
    second, third = _exchange_cumulants(parts, relabelling)
    mixed = parts[:, ~relabelling.pure]
    variance = second + np.einsum("ij,ij->i", mixed, mixed)
    score = parts @ relabelling.observed
    exchanged = _log_exchange(active, relabelling)
    if sum(relabelling.n_halves) <= _MOST_SORTED:
        p, least = _tried(parts, relabelling)
    else:
        p = _fitted_signs(score, mixed) if not relabelling.pure.any() else _fitted(score, variance, third)
        p = np.maximum(p, _twice(exchanged - _LOG_2 * np.count_nonzero(mixed, axis=1)))
        least = _rarest(ranks, active, relabelling)
    if relabelling.unequal.any():
        rows = row_exchange(ranks, active, relabelling)
        equal = parts[:, ~relabelling.pure & ~relabelling.unequal]
        spread = second + np.einsum("ij,ij->i", equal, equal) + rows.second
        floor = _twice(exchanged + rows.log_p - _LOG_2 * np.count_nonzero(equal, axis=1))
        p = np.maximum(p, np.maximum(_fitted(score, spread, third + rows.third), floor))
        variance = np.maximum(variance, spread)
    return RankSumTest(p, variance, least)


def monte_carlo_p(
    statistic: Callable[[Bools], Floats], sample: Sample, *, seed: int, draws: int = 999
) -> NDArray[np.float64]:
    """Return (1 + draws at least as extreme) / (1 + draws), two-sided around 0, for any array statistic of labels.

    The statistic has to be centred on its own: groups with unequal sides change the number of positives when they turn.

    Source: Phipson and Smyth (2010): the observed labelling counts as one draw, so p is never 0.
    """
    relabelling = Relabelling(sample)
    rng = np.random.default_rng(seed)
    observed = np.abs(statistic(sample.labels))
    exceeded = np.ones_like(observed)
    for _ in range(draws):
        exceeded += np.abs(statistic(relabelling.drawn(rng))) >= observed - 1e-12
    return exceeded / (draws + 1)


def _exchange_cumulants(parts: Floats, relabelling: Relabelling) -> tuple[Floats, Floats]:
    """Second and third cumulant of what pure groups add."""
    labels = relabelling.pure_labels
    k = labels.size
    zero = np.zeros(parts.shape[0])
    if k < 2:
        return zero, zero
    units = parts[:, relabelling.pure]
    units = units - units.mean(axis=1, keepdims=True)
    second = np.einsum("ij,ij->i", units, units) * (labels @ labels) / (k - 1)
    if k < 3:
        return second, zero
    return second, np.einsum("ij,ij,ij->i", units, units, units) * (labels**3).sum() * k / ((k - 1) * (k - 2))


def _tried(parts: Floats, relabelling: Relabelling) -> tuple[Floats, Floats]:
    """Twice the share of labellings at least as far out on the nearer side, the observed one among them; the least.

    The least is that of the labelling farthest out. Where groups differ in size those in which a latent is silent tell
    labellings apart too, so it can lie below the probability of the labels of the active groups.
    """
    n_first, n_second = relabelling.n_halves
    p, least = np.empty((2, parts.shape[0]))
    width = max(1, _ELEMENTS // (n_first + n_second))
    for start in range(0, p.size, width):
        some = parts[start : start + width]
        first, second = (some @ half for half in relabelling.halves)
        observed, slack = some @ relabelling.observed, _ROUNDING * np.abs(some).sum(axis=1)
        if relabelling.pure.any():
            above = _pairs_reaching(observed - slack, first, second)
            extreme = np.minimum(above, _pairs_reaching(-observed - slack, -first, -second))
        else:
            extreme = _pairs_reaching(np.abs(observed) - slack, first, second)
        p[start : start + width] = extreme * (2 / (n_first * n_second))
        ends = [_at_the_top(sign * first, slack) * _at_the_top(sign * second, slack) for sign in (1, -1)]
        least[start : start + width] = np.minimum(*ends) * (2 / (n_first * n_second))
    return np.minimum(1.0, p), np.minimum(1.0, least)


def _at_the_top(sums: Floats, slack: Floats) -> Floats:
    """Count per column the sums that are its largest; two halves share the slack of their pairs."""
    return np.count_nonzero(sums >= (sums.max(axis=1) - slack / 2)[:, None], axis=1).astype(np.float64)


def _pairs_reaching(least: Floats, first: Floats, second: Floats) -> Floats:
    """Count per column the pairs of one number of `first` and one of `second` whose sum is at least `least`.

    Source: meet in the middle, Horowitz and Sahni (1974): one sort of both halves instead of all their sums.
    """
    order = np.argsort(np.concatenate([least[:, None] - first, second], axis=1), axis=1)
    needed = order < first.shape[1]
    met = np.where(needed, 0, np.cumsum(needed, axis=1))
    return met.sum(axis=1).astype(np.float64)


def _fitted_signs(score: Floats, mixed: Floats) -> Floats:
    squared = mixed**2
    variance = squared.sum(axis=1)
    safe = np.where(variance > 0, variance, 1.0)
    p = pearson2_two_sided(score / np.sqrt(safe), -2 * np.einsum("ij,ij->i", squared, squared) / safe**2)
    return np.where(variance > 0, p, 1.0)


def _fitted(score: Floats, variance: Floats, third: Floats) -> Floats:
    # The fourth cumulant is left out: random signs make it negative, so that p errs on the large side.
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, pearson3_two_sided(score / np.sqrt(safe), third / safe**1.5), 1.0)


def _twice(log_p: Floats) -> Floats:
    return np.minimum(1.0, 2 * np.exp(log_p))


def _rarest(ranks: Floats, active: Bools, relabelling: Relabelling) -> Floats:
    """Twice the probability of the rarest labels that the active groups could have, as both nulls leave it."""
    sample, pure = relabelling.sample, relabelling.pure
    varies = np.zeros((len(ranks), sample.n_groups), dtype=np.bool_)
    if not pure.all():
        ends = (find.reduceat(ranks, sample.starts, axis=1) for find in (np.maximum, np.minimum))
        varies = np.not_equal(*ends)
    fires = sample.group_sums(active.astype(np.float64))[:, pure] > 0
    n, m, taken = int(pure.sum()), int((relabelling.positives[pure] > 0).sum()), fires.sum(axis=1)
    table = log_gamma(np.arange(1, n + 2))
    rest = n - taken
    left = np.stack([m - np.minimum(taken, m), m - np.maximum(0, m - rest)])  # one of the ends is the rarest
    rarest = (table[rest] - table[left] - table[rest - left]).min(axis=0) - (table[n] - table[m] - table[n - m])
    return _twice(rarest - _LOG_2 * np.count_nonzero(varies[:, ~pure], axis=1))


def _log_exchange(active: Bools, relabelling: Relabelling) -> Floats:
    """Log probability of exactly these labels of the active pure groups."""
    pure = relabelling.pure
    if not pure.any():
        return np.zeros(len(active))
    positive = relabelling.positives[pure] > 0
    fires = relabelling.sample.group_sums(active.astype(np.float64))[:, pure] > 0
    n, m = positive.size, int(positive.sum())
    table = log_gamma(np.arange(1, n + 2))
    rest, left = n - fires.sum(axis=1), m - (fires & positive).sum(axis=1)
    return table[rest] - table[left] - table[rest - left] - (table[n] - table[m] - table[n - m])
