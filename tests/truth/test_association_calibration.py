"""Over many simulated worlds the p-values, intervals and verdicts are right as often as they say.

Bounds are binomial: three standard deviations around the stated rate for the number of worlds drawn.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from interp_lab.methods.association import associate
from interp_lab.statistics.bootstrap import cluster_bootstrap
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.power import detectable_auroc, detectable_mean
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

Worlds = tuple[np.ndarray, np.ndarray, np.ndarray]


def _three_sigma(rate: float, n: int) -> float:
    return 3 * math.sqrt(rate * (1 - rate) / n)


def _world(rng: np.random.Generator, *, n_groups: int, size: int, icc: float, shift: float, columns: int) -> Worlds:
    """Latents that share a group effect; half of the groups are positive."""
    groups = np.repeat(np.arange(n_groups), size)
    labels = (groups % 2).astype(bool)
    shared = rng.normal(size=(n_groups, columns))[groups] * math.sqrt(icc)
    own = rng.normal(size=(groups.size, columns)) * math.sqrt(1 - icc)
    return shared + own + shift * labels[:, None], labels, groups


@pytest.mark.parametrize("size", [1, 5])
def test_p_values_are_uniform_under_the_null_with_clustered_rows(size: int) -> None:
    table, labels, groups = _world(np.random.default_rng(1), n_groups=40, size=size, icc=0.6, shift=0, columns=4000)
    p = separation(table, Sample.of(labels, groups)).p
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    for alpha in (0.1, 0.05, 0.01):
        assert abs((p <= alpha).mean() - alpha) <= _three_sigma(alpha, p.size)


def test_p_values_that_ignore_the_clusters_call_far_too_many_nulls() -> None:
    table, labels, _ = _world(np.random.default_rng(1), n_groups=40, size=5, icc=0.6, shift=0, columns=4000)
    naive = separation(table, Sample.of(labels)).p
    assert (naive <= 0.05).mean() > 0.2


def test_counterfactual_pairs_are_tested_within_pairs() -> None:
    rng = np.random.default_rng(2)
    groups, labels = np.repeat(np.arange(40), 2), np.tile([True, False], 40)
    table = 3 * rng.normal(size=(40, 2000))[groups] + rng.normal(size=(80, 2000))
    p = separation(table, Sample.of(labels, groups)).p
    assert abs((p <= 0.05).mean() - 0.05) <= _three_sigma(0.05, p.size)
    shifted = table + 1.0 * labels[:, None]
    power = (separation(shifted, Sample.of(labels, groups)).p <= 0.05).mean()
    without_pairs = (separation(shifted, Sample.of(labels)).p <= 0.05).mean()
    assert power > 0.9
    assert without_pairs < 0.5


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("n_active", [3, 12])
def test_rarely_firing_latents_are_not_called_more_often_than_the_level(share: float, n_active: int) -> None:
    rng = np.random.default_rng(3)
    table = np.zeros((400, 3000), dtype=np.float32)
    for column in range(table.shape[1]):
        table[rng.choice(400, n_active, replace=False), column] = 1 + rng.random(n_active)
    labels = np.arange(400) < 400 * share
    p = separation(table, Sample.of(labels)).p
    for alpha in (0.05, 0.01, 0.005, 0.001):
        assert (p <= alpha).mean() <= alpha + _three_sigma(alpha, p.size)


def test_a_normal_approximation_would_call_rare_latents_too_often() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(400) < 40
    calls = 0
    for _ in range(1000):
        column = np.zeros(400)
        column[rng.choice(400, 3, replace=False)] = 1 + rng.random(3)
        calls += stats.mannwhitneyu(column[labels], column[~labels], method="asymptotic").pvalue <= 0.005
    assert calls / 1000 > 0.015


@pytest.mark.parametrize("truth", [0.5, 0.75, 0.95])
@pytest.mark.parametrize(("size", "icc"), [(1, 0.0), (4, 0.7)])
def test_the_95_percent_auroc_interval_covers_the_truth(truth: float, size: int, icc: float) -> None:
    shift = math.sqrt(2) * stats.norm.ppf(truth)
    table, labels, groups = _world(np.random.default_rng(4), n_groups=60, size=size, icc=icc, shift=shift, columns=2000)
    found = separation(table, Sample.of(labels, groups))
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.95 - _three_sigma(0.95, 2000) - 0.005 <= covered <= 0.99


def test_an_auroc_interval_that_ignores_the_clusters_covers_too_little() -> None:
    table, labels, _ = _world(np.random.default_rng(4), n_groups=60, size=4, icc=0.7, shift=0, columns=2000)
    found = separation(table, Sample.of(labels))
    assert ((found.low <= 0.5) & (found.high >= 0.5)).mean() < 0.85


def test_perfect_separation_of_few_groups_still_has_an_open_interval() -> None:
    found = separation(np.arange(8.0)[:, None], Sample.of(np.arange(8) >= 4))
    assert found.auroc[0] == 1
    assert 0.4 < found.low[0] < 0.8
    assert found.p[0] == pytest.approx(2 / 70)


def test_the_student_interval_of_a_clustered_mean_covers_its_truth() -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(12), 4)
    covered = too_large = naive = 0
    for _ in range(1500):
        values = rng.normal(size=12)[groups] + 0.3 * rng.normal(size=48) + 2
        inside = clustered_mean(values, groups)
        ignoring = clustered_mean(values, np.arange(48))
        covered += inside.low <= 2 <= inside.high
        too_large += inside.low > 2
        naive += ignoring.low <= 2 <= ignoring.high
    assert abs(too_large / 1500 - 0.025) <= _three_sigma(0.025, 1500)  # the side that a claim rests on
    assert covered / 1500 >= 0.95 - _three_sigma(0.95, 1500)
    assert naive / 1500 < 0.8


def test_the_cluster_bootstrap_covers_where_a_row_bootstrap_does_not() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), 3)
    covered = naive = 0
    for seed in range(200):
        values = rng.normal(size=40)[groups]
        for ids in (groups, np.arange(120)):
            found = cluster_bootstrap(lambda rows, v=values: v[rows].mean(), ids, seed=seed, draws=300)
            inside = bool(found.low <= 0 <= found.high)
            covered, naive = (covered + inside, naive) if ids is groups else (covered, naive + inside)
    assert covered / 200 >= 0.95 - _three_sigma(0.95, 200) - 0.01
    assert naive / 200 < 0.85


def test_the_detectable_auroc_is_found_with_the_stated_power() -> None:
    target = detectable_auroc(40, 60, alpha=0.05, power=0.8)
    rng = np.random.default_rng(7)
    labels = np.arange(100) < 40
    table = rng.normal(size=(100, 2000)) + math.sqrt(2) * stats.norm.ppf(target) * labels[:, None]
    assert abs((separation(table, Sample.of(labels)).p <= 0.05).mean() - 0.8) < 0.05


def test_the_detectable_mean_is_found_with_the_stated_power() -> None:
    target = detectable_mean(1.0, 12, alpha=0.05, power=0.8)
    rng = np.random.default_rng(8)
    found = [clustered_mean(rng.normal(size=12) + target, np.arange(12)).p <= 0.05 for _ in range(1500)]
    assert abs(np.mean(found) - 0.8) < 0.05


def test_over_all_latents_the_false_discovery_rate_keeps_its_level() -> None:
    rng = np.random.default_rng(9)
    rates = []
    for _ in range(40):
        labels = np.arange(200) < 80
        table = np.maximum(rng.normal(size=(200, 1000)) - 0.5, 0)
        table[:, :50] += 0.9 * labels[:, None]
        called = associate(table, Sample.of(labels)).q <= 0.05
        rates.append(called[50:].sum() / max(1, called.sum()))
        assert called[:50].sum() > 25
    assert np.mean(rates) < 0.06
