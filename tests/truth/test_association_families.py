"""Groups that hold both labels many times over: the template family, and not its rows, is what the test counts.

All positives of a family share one wording and all negatives another. What sets the two wordings apart is one draw per
family, whatever the number of its prompts.
"""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from interp_lab.methods.association import associate
from interp_lab.methods.stability import stability
from interp_lab.statistics.adjusted import adjusted_separation
from interp_lab.statistics.auroc import auroc
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.statistics.held_out import held_out_scores
from interp_lab.statistics.permutation import monte_carlo_p
from interp_lab.statistics.relabelling import Relabelling
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

Sizes = list[tuple[int, int]]


def _three_sigma(rate: float, n: int) -> float:
    return 3 * math.sqrt(rate * (1 - rate) / n)


def _sample(sizes: Sizes) -> Sample:
    """One group for each pair of numbers of positive and negative rows."""
    labels = np.concatenate([np.repeat([True, False], each) for each in sizes])
    return Sample.of(labels, np.repeat(np.arange(len(sizes)), [sum(each) for each in sizes]))


def _families(
    rng: np.random.Generator, sample: Sample, columns: int, *, wording: float = 1.0, effect: float = 0.0
) -> np.ndarray:
    """Rows with a level of their family, and sides that differ by a draw of their family and by `effect`."""
    level, difference = rng.normal(size=(2, sample.n_groups, columns))
    sides = np.where(sample.labels, 0.5, -0.5)[:, None] * (wording * difference + effect)[sample.groups]
    return level[sample.groups] + sides + rng.normal(size=(sample.n_rows, columns))


def _row_wise_p(table: np.ndarray, sample: Sample) -> np.ndarray:
    """What letting every row of a family exchange its label with every other would give."""
    ranks = stats.rankdata(table, axis=0)
    score, variance = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    for group in range(sample.n_groups):
        rows = sample.groups == group
        labels = sample.labels[rows] - sample.labels[rows].mean()
        own = ranks[rows] - ranks[rows].mean(axis=0)
        score += labels @ own
        variance += (labels @ labels) * (own**2).sum(axis=0) / (rows.sum() - 1)
    return 2 * stats.norm.sf(np.abs(score) / np.sqrt(variance))


def _turned_p(table: np.ndarray, sample: Sample) -> np.ndarray:
    """Every labelling of whole groups, one after the other, from the labels themselves."""
    ranks = stats.rankdata(table, axis=0)
    ranks -= ranks.mean(axis=0)
    rows = [np.flatnonzero(sample.groups == g) for g in range(sample.n_groups)]
    pure = [g for g in range(sample.n_groups) if np.ptp(sample.labels[rows[g]].astype(int)) == 0]
    mixed = [g for g in range(sample.n_groups) if g not in pure]
    n_positive = sum(bool(sample.labels[rows[g][0]]) for g in pure)

    def score(labels: np.ndarray) -> np.ndarray:
        weights = labels.astype(float)
        for g in mixed:
            weights[rows[g]] -= weights[rows[g]].mean()
        for g in pure:
            weights[rows[g]] -= n_positive / len(pure)
        return weights @ ranks

    scores = []
    for chosen, turned in product(combinations(pure, n_positive), product([False, True], repeat=len(mixed))):
        labels = sample.labels.copy()
        for g in pure:
            labels[rows[g]] = g in chosen
        for g, turn in zip(mixed, turned, strict=True):
            labels[rows[g]] ^= turn
        scores.append(score(labels))
    every, seen = np.stack(scores), score(sample.labels)
    tails = [(every >= seen - 1e-9).mean(axis=0), (every <= seen + 1e-9).mean(axis=0)]
    return np.minimum(1, 2 * np.minimum(*tails))


@pytest.mark.parametrize("pairs", [5, 10])
@pytest.mark.parametrize("n_families", [8, 12, 24, 40])
def test_wordings_that_differ_by_family_alone_are_called_as_often_as_stated(n_families: int, pairs: int) -> None:
    sample = _sample([(pairs, pairs)] * n_families)
    p = separation(_families(np.random.default_rng(1), sample, 3000), sample).p
    for alpha in (0.2, 0.1, 0.05, 0.01):
        reachable = math.floor(alpha * 2 ** (n_families - 1)) / 2 ** (n_families - 1)
        assert (
            reachable - _three_sigma(alpha, p.size) - 0.003
            <= (p <= alpha).mean()
            <= alpha + _three_sigma(alpha, p.size)
        )


@pytest.mark.parametrize("pairs", [5, 10])
@pytest.mark.parametrize("n_families", [8, 40])
def test_exchanging_rows_inside_families_would_call_wordings_far_too_often(n_families: int, pairs: int) -> None:
    sample = _sample([(pairs, pairs)] * n_families)
    p = _row_wise_p(_families(np.random.default_rng(1), sample, 1000), sample)
    assert (p <= 0.05).mean() > 0.15
    assert (p <= 0.001).mean() > 0.02


@pytest.mark.parametrize("n_families", [11, 24])
def test_no_wording_of_families_is_a_discovery_over_many_latents(n_families: int) -> None:
    sample = _sample([(9, 9)] * n_families)
    table = _families(np.random.default_rng(2), sample, 640, wording=2.0)
    assert (associate(table, sample).q <= 0.05).sum() == 0
    assert (stats.false_discovery_control(_row_wise_p(table, sample)) <= 0.05).sum() > 100


@pytest.mark.parametrize(("n_families", "least"), [(12, 0.7), (24, 0.93)])
def test_an_effect_common_to_all_families_is_found(n_families: int, least: float) -> None:
    sample = _sample([(5, 5)] * n_families)
    table = _families(np.random.default_rng(3), sample, 1000, effect=1.0)
    assert (separation(table, sample).p <= 0.05).mean() > least
    strong = _families(np.random.default_rng(3), sample, 40, wording=0.5, effect=2.0)
    others = _families(np.random.default_rng(4), sample, 600)
    q = associate(np.concatenate([strong, others], axis=1), sample).q
    assert (q[:40] <= 0.05).mean() > 0.9
    assert (q[40:] <= 0.05).mean() < 0.01


@pytest.mark.parametrize("pairs", [5, 10])
@pytest.mark.parametrize("n_families", [8, 12, 24, 40])
@pytest.mark.parametrize("effect", [0.0, 1.0, 2.5])
def test_the_interval_covers_the_auroc_of_families_not_yet_seen(n_families: int, pairs: int, effect: float) -> None:
    sample = _sample([(pairs, pairs)] * n_families)
    truth = stats.norm.cdf(effect / math.sqrt(2 * (1 + 0.25 + 1)))
    found = separation(_families(np.random.default_rng(5), sample, 1000, effect=effect), sample)
    assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.95 - _three_sigma(0.95, 1000)


def test_an_interval_over_rows_would_miss_it() -> None:
    sample = _sample([(10, 10)] * 24)
    found = separation(_families(np.random.default_rng(5), sample, 1000), Sample.of(sample.labels))
    assert ((found.low <= 0.5) & (found.high >= 0.5)).mean() < 0.9


DESIGNS: dict[str, Sizes] = {
    "pairs": [(1, 1)] * 8,
    "families": [(5, 5), (2, 2), (9, 9), (3, 3), (4, 4), (1, 1), (6, 6), (2, 2), (3, 3), (5, 5)],
    "mixed and pure": [(3, 3), (2, 2), (4, 4), (5, 5), (3, 0), (1, 0), (0, 2), (0, 4), (0, 1), (2, 0)],
    "one mixed": [(4, 4), (3, 0), (2, 0), (0, 2), (0, 5), (0, 1)],
    "pure": [(2, 0), (1, 0), (3, 0), (0, 2), (0, 1), (0, 4), (0, 1)],
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("design", DESIGNS)
def test_p_is_the_share_of_all_labellings_of_groups_that_are_as_extreme(design: str, ties: bool) -> None:
    sample = _sample(DESIGNS[design])
    table = _families(np.random.default_rng(6), sample, 12, effect=0.8)
    table = np.round(np.maximum(table, 0)) if ties else table
    np.testing.assert_allclose(separation(table, sample).p, _turned_p(table, sample), atol=1e-12)


def test_groups_with_unequal_sides_are_never_called_more_easily_than_by_turning_them() -> None:
    sample = _sample([(1, 3), (2, 5), (4, 1), (3, 3), (2, 1), (1, 1), (6, 2), (2, 0), (0, 3)])
    table = _families(np.random.default_rng(7), sample, 40, effect=1.0)
    found, turned = separation(table, sample).p, _turned_p(table, sample)
    assert (found >= turned - 1e-12).all()
    assert np.isclose(found, turned).mean() > 0.5


@pytest.mark.parametrize("sizes", [[(4, 4)] * 20, [(1, 1)] * 30, [(3, 3)] * 14 + [(2, 0)] * 5 + [(0, 3)] * 9])
def test_fitted_moments_agree_with_drawn_labellings(sizes: Sizes) -> None:
    sample = _sample(sizes)
    table = _families(np.random.default_rng(8), sample, 60, effect=0.4)
    drawn = monte_carlo_p(_group_score(table, sample), sample, seed=1, draws=1999)
    fitted = separation(table, sample).p
    seen = np.maximum(drawn, fitted) > 0.01
    assert seen.sum() > 15
    assert np.abs(np.log2(fitted[seen] / drawn[seen])).max() < 1
    assert np.median(np.abs(fitted[seen] - drawn[seen])) < 0.01


def _group_score(table: np.ndarray, sample: Sample):
    ranks = stats.rankdata(table, axis=0)
    ranks -= ranks.mean(axis=0)
    share = np.bincount(sample.groups, weights=sample.labels) / np.bincount(sample.groups)
    pure = share != 0.5
    centre = np.where(pure, share[pure].mean() if pure.any() else 0, 0.5)[sample.groups]
    return lambda labels: (labels - centre) @ ranks


def test_pairs_are_tested_as_exchanging_their_two_rows_always_did() -> None:
    sample = _sample([(1, 1)] * 40)
    table = _families(np.random.default_rng(9), sample, 300, effect=0.4)
    np.testing.assert_allclose(separation(table, sample).p, _row_wise_p(table, sample), atol=0.01)


@pytest.mark.parametrize("n_families", [2, 5, 11, 16, 17, 30])
def test_perfect_separation_is_as_unlikely_as_all_families_falling_one_way(n_families: int) -> None:
    sample = _sample([(9, 9)] * n_families)
    table = sample.labels[:, None] + np.random.default_rng(0).random((sample.n_rows, 3)) / 2
    assert (separation(table, sample).p >= 2.0 ** (1 - n_families) * (1 - 1e-9)).all()
    assert (separation(table, sample).p <= 2.0 ** (1 - n_families) * 30).all()


def test_more_prompts_per_family_do_not_make_a_wording_more_certain() -> None:
    few, many = _sample([(2, 2)] * 8), _sample([(200, 200)] * 8)
    wordings = np.random.default_rng(10).normal(size=(8, 50))
    p = [separation(np.where(s.labels, 1, -1)[:, None] * wordings[s.groups], s).p for s in (few, many)]
    np.testing.assert_allclose(p[0], p[1], atol=1e-12)


@pytest.mark.parametrize("side", [(1, 9), (1, 3), (1, 2), (2, 4)])
@pytest.mark.parametrize(("rate", "alike"), [(0.05, 1.0), (0.05, 10.0), (0.3, 1.0), (0.3, 10.0)])
def test_rare_latents_keep_the_level_in_groups_with_unequal_sides(
    side: tuple[int, int], rate: float, alike: float
) -> None:
    """Firing rates of the sides are drawn around a common one: nearly the same with a large `alike`."""
    rng = np.random.default_rng(11)
    sample = _sample([side] * 20)
    rates = rng.beta(rate * alike, (1 - rate) * alike, size=(20, 2, 2000))[sample.groups, sample.labels.astype(int)]
    table = np.where(rng.random(rates.shape) < rates, 1 + rng.random(rates.shape), 0.0)
    found = separation(table, sample)
    for alpha in (0.05, 0.01):
        assert (found.p <= alpha).mean() <= alpha + _three_sigma(alpha, 2000)
    assert ((found.low <= 0.5) & (found.high >= 0.5)).mean() > 0.92


def test_turning_groups_with_unequal_sides_alone_would_call_rare_latents_far_too_often() -> None:
    rng = np.random.default_rng(11)
    sample = _sample([(1, 9)] * 10)
    table = np.where(rng.random((100, 400)) < 0.12, 1 + rng.random((100, 400)), 0.0)
    assert (_turned_p(table, sample) <= 0.05).mean() > 0.1
    assert (separation(table, sample).p <= 0.05).mean() <= 0.05 + _three_sigma(0.05, 400)


@pytest.mark.parametrize("n_families", [8, 24])
def test_what_is_left_after_control_is_judged_by_families(n_families: int) -> None:
    rng = np.random.default_rng(12)
    sample = _sample([(7, 7)] * n_families)
    table, covariate = _families(rng, sample, 2000), rng.normal(size=(sample.n_rows, 1))
    left = adjusted_separation(table, sample, covariate)
    for alpha in (0.1, 0.05, 0.01):
        assert abs((left.p <= alpha).mean() - alpha) <= _three_sigma(alpha, 2000)
    assert abs(((left.low <= 0.5) & (left.high >= 0.5)).mean() - 0.95) <= _three_sigma(0.95, 2000) + 0.01
    by_rows = adjusted_separation(table, Sample.of(sample.labels), covariate)
    assert (by_rows.p <= 0.05).mean() > 0.1


def test_a_wording_learnt_from_some_families_tells_nothing_about_others() -> None:
    sample = _sample([(9, 9)] * 12)
    wordings = np.eye(24)[2 * sample.groups + sample.labels]
    honest = held_out_scores(wordings, sample)
    leaking = held_out_scores(wordings, Sample.of(sample.labels))
    found = auroc(np.stack([honest, leaking], axis=1), sample.labels)
    assert abs(found[0] - 0.5) < 0.02
    assert found[1] == 1


def test_a_ranking_of_wordings_is_not_stable_across_families() -> None:
    sample = _sample([(40, 40)] * 8)
    table = _families(np.random.default_rng(13), sample, 200, wording=2.0)
    by_family = stability(table, sample, seed=0).rank_agreement
    by_row = stability(table, Sample.of(sample.labels), seed=0).rank_agreement
    assert np.abs(by_family).mean() < 0.2
    assert by_row.min() > 0.6


def _rare(rng: np.random.Generator, sample: Sample, columns: int, *, planted: int = 0) -> np.ndarray:
    """Latents that fire on 0.3 to 50 % of rows, with levels and wordings of their families; the first know labels."""
    table = _families(rng, sample, columns)
    n_active = (10 ** rng.uniform(-2.5, -0.3, columns) * sample.n_rows).astype(int)
    floor = np.take_along_axis(-np.sort(-table, axis=0), n_active[None], axis=0)
    table[:, :planted] += 3.0 * sample.labels[:, None]
    return np.maximum(table - floor, 0)


def test_rare_latents_of_few_families_do_not_hide_those_that_follow_the_label() -> None:
    sample = _sample([(8, 8)] * 12)
    shares, plain, false = [], [], []
    for seed in range(8):
        found = associate(_rare(np.random.default_rng(seed), sample, 2000, planted=14), sample)
        called = found.q <= 0.05
        shares.append(called[:14].mean())
        plain.append((benjamini_hochberg(found.p) <= 0.05).mean())
        false.append(called[14:].sum() / max(1, called.sum()))
    assert np.mean(shares) > 0.4
    assert np.mean(plain) == 0  # counted against p-values that they cannot reach, nothing is called
    assert np.mean(false) <= 0.05


@pytest.mark.parametrize("n_families", [12, 20])
def test_rare_latents_that_follow_nothing_are_called_no_more_often_than_stated(n_families: int) -> None:
    sample = _sample([(4, 4)] * n_families)
    calls = [
        (associate(_rare(np.random.default_rng(500 + seed), sample, 500), sample).q <= 0.05).any() for seed in range(80)
    ]
    assert np.mean(calls) <= 0.05 + _three_sigma(0.05, 80)


UNEQUAL_PURE: Sizes = [(1, 0), (5, 0), (2, 0), (3, 0), (0, 1), (0, 4), (0, 2), (0, 5)]


@pytest.mark.parametrize(
    "sizes",
    [
        [(3, 3)] * 6,
        [(1, 0)] * 4 + [(0, 1)] * 5,
        [(2, 1), (1, 3), (2, 2), (2, 0), (0, 2)],
        UNEQUAL_PURE,
        [(1, 0), (3, 0), (0, 2), (0, 4), (2, 2), (3, 1)],
        UNEQUAL_PURE * 3,
    ],
)
def test_no_labels_give_a_p_below_the_least_that_is_named(sizes: Sizes) -> None:
    sample, rng = _sample(sizes), np.random.default_rng(4)
    table = _rare(rng, sample, 60)
    found = separation(table, sample)
    drawn = [found.p]
    for _ in range(200):
        labels = Relabelling(sample).drawn(rng)
        again = separation(table, Sample.of(labels, sample.groups))
        if (Relabelling(Sample.of(labels, sample.groups)).positives == Relabelling(sample).positives).all():
            assert np.allclose(again.least_p, found.least_p)
        drawn.append(again.p)
    assert (np.min(drawn, axis=0) >= found.least_p * (1 - 1e-9)).all()
    if sizes == [(3, 3)] * 6:
        assert np.isclose(np.min(drawn, axis=0), found.least_p).any()


def test_rare_latents_of_a_few_groups_of_unequal_size_are_not_called_for_being_rare() -> None:
    sample, rng = (
        _sample([(1, 0), (2, 0), (4, 0), (5, 0), (3, 0), (0, 1), (0, 3), (0, 4), (0, 6)]),
        np.random.default_rng(12),
    )
    for _ in range(8):
        table = np.zeros((sample.n_rows, 300))
        for column in table.T:
            fires = np.isin(sample.groups, rng.choice(sample.n_groups, rng.integers(1, 4), replace=False))
            column[fires] = 0.1 + rng.random(int(fires.sum()))
        assert not (associate(table, sample).q <= 0.05).any()
