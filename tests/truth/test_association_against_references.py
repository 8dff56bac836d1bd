"""Every closed form equals the reference implementation of the field, to rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from interp_lab.statistics.auroc import auroc, weighted_auroc
from interp_lab.statistics.distributions import pearson2_two_sided, pearson3_two_sided, student_critical, student_tail
from interp_lab.statistics.effect_size import effect_size
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.statistics.permutation import monte_carlo_p
from interp_lab.statistics.rank_agreement import spearman
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation
from interp_lab.statistics.wilson import wilson_interval


def _table(rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Columns of every kind: dense, sparse, few levels, constant, negative, tiny differences."""
    n = 120
    dense = rng.normal(size=(n, 4))
    sparse = np.maximum(rng.normal(size=(n, 4)) - 1.3, 0)
    levels = rng.integers(-1, 3, size=(n, 3))
    close = 1 + rng.integers(0, 5, size=(n, 1)) * 1e-6
    return np.concatenate([dense, sparse, levels, np.full((n, 1), 3.5), close, -np.zeros((n, 1))], axis=1).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_auroc_equals_scikit_learn_for_every_column_with_ties(dtype: str) -> None:
    rng = np.random.default_rng(1)
    table, labels = _table(rng, dtype), rng.random(120) < 0.3
    expected = [roc_auc_score(labels, table[:, j]) for j in range(table.shape[1])]
    np.testing.assert_allclose(auroc(table, labels), expected, atol=1e-12)
    np.testing.assert_allclose(separation(table, Sample.of(labels)).auroc, expected, atol=1e-12)


def test_negative_zero_and_zero_are_the_same_value() -> None:
    labels = np.array([True, True, False, False])
    assert auroc(np.array([[0.0], [0.0], [-0.0], [-0.0]], dtype=np.float32), labels)[0] == 0.5


def test_weighted_auroc_equals_scikit_learn_with_sample_weights() -> None:
    rng = np.random.default_rng(2)
    table, labels, weights = _table(rng, "float32"), rng.random(120) < 0.5, rng.integers(0, 4, size=(3, 120))
    got = weighted_auroc(table, labels, weights)
    for k in range(3):
        expected = [roc_auc_score(labels, table[:, j], sample_weight=weights[k]) for j in range(table.shape[1])]
        np.testing.assert_allclose(got[k], expected, atol=1e-12)


def test_point_biserial_r_and_cohen_d_equal_scipy() -> None:
    rng = np.random.default_rng(3)
    table, labels = _table(rng, "float64")[:, :11], rng.random(120) < 0.4
    found = effect_size(table, Sample.of(labels))
    for j in range(table.shape[1]):
        t = stats.ttest_ind(table[labels, j], table[~labels, j]).statistic
        m, n = labels.sum(), (~labels).sum()
        assert found.d[j] == pytest.approx(t * np.sqrt(1 / m + 1 / n), abs=1e-10)
        assert found.r[j] == pytest.approx(stats.pointbiserialr(labels, table[:, j]).statistic, abs=1e-10)


def test_r_with_graded_scores_equals_pearson() -> None:
    rng = np.random.default_rng(4)
    table, scores = rng.normal(size=(60, 3)), rng.random(60)
    found = effect_size(table, Sample.of(scores > 0.5), scores=scores)
    expected = [stats.pearsonr(table[:, j], scores).statistic for j in range(3)]
    np.testing.assert_allclose(found.r, expected, atol=1e-12)


def test_benjamini_hochberg_equals_scipy() -> None:
    p = np.random.default_rng(5).random(500) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-14)


def test_spearman_with_ties_equals_scipy() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 9, 80), rng.integers(0, 9, 80)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 10), (40, 40), (512, 1000)])
def test_wilson_interval_equals_scipy(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    low, high = wilson_interval(hits / n, n)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3.5, 9, 29.9, 30, 55.5, 400, 1e6])
def test_student_tail_and_critical_value_equal_scipy(df: float) -> None:
    t = np.array([-6.0, -1.2, 0.0, 0.3, 2.0, 7.0])
    np.testing.assert_allclose(student_tail(t, df), stats.t.sf(t, df), rtol=1e-6)
    assert student_critical(0.95, df)[0] == pytest.approx(stats.t.ppf(0.975, df), rel=1e-7)


@pytest.mark.parametrize("skewness", [0.0, 0.05, 0.2, 0.27, 0.7, 2.0, -0.2, -1.5])
def test_pearson3_tail_equals_scipy_where_a_p_value_is_read(skewness: float) -> None:
    z = np.array([-2.5, -1.0, 0.1, 1.0, 2.5, 4.0])
    smaller = np.minimum(stats.pearson3.sf(z, skewness), stats.pearson3.cdf(z, skewness))
    np.testing.assert_allclose(pearson3_two_sided(z, skewness), np.minimum(1, 2 * smaller), rtol=0.06, atol=1e-12)


@pytest.mark.parametrize("excess", [-1.9, -1.0, -0.5, -0.15, -0.01])
def test_pearson2_tail_equals_scipys_beta_with_the_same_variance_and_kurtosis(excess: float) -> None:
    df = -6 / excess - 3
    reference = stats.beta(df / 2, df / 2, loc=-math.sqrt(1 + df), scale=2 * math.sqrt(1 + df))
    assert [float(v) for v in reference.stats(moments="vk")] == pytest.approx([1, excess])
    z = np.array([-0.3, 0.0, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(pearson2_two_sided(z, excess), 2 * reference.sf(np.abs(z)), rtol=1e-5, atol=1e-12)
    assert pearson2_two_sided(math.sqrt(1 + df) + 1e-3, excess) == 0


@pytest.mark.parametrize("design", ["rows", "clusters", "pairs", "mixture"])
def test_closed_form_permutation_p_agrees_with_drawing_permutations(design: str) -> None:
    rng = np.random.default_rng(7)
    labels, groups = _design(design, rng)
    sample = Sample.of(labels, groups)
    table = rng.normal(size=(labels.size, 30)) + rng.normal(size=(groups.max() + 1, 30))[groups]
    table[:, 10:20] += np.linspace(0, 1, 10) * labels[:, None]
    table[:, 20:] = np.maximum(table[:, 20:] - 1, 0)
    drawn = monte_carlo_p(_centred_rank_sum(table, sample), sample, seed=1, draws=1999)
    closed = separation(table, sample).p
    seen = np.maximum(drawn, closed) > 0.01
    assert seen.sum() >= 12
    assert np.abs(np.log2(closed[seen] / drawn[seen])).max() < 1.0
    assert np.median(np.abs(closed[seen] - drawn[seen])) < 0.02


def test_ignoring_the_groups_gives_another_p_than_drawing_group_permutations() -> None:
    rng = np.random.default_rng(8)
    labels, groups = _design("clusters", rng)
    table = rng.normal(size=(groups.max() + 1, 40))[groups]
    grouped = Sample.of(labels, groups)
    drawn = monte_carlo_p(_centred_rank_sum(table, grouped), grouped, seed=1, draws=499)
    naive = separation(table, Sample.of(labels)).p
    assert np.median(naive / drawn) < 0.5


def _design(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if name == "rows":
        return rng.random(80) < 0.25, np.arange(80)
    if name == "clusters":
        groups = np.repeat(np.arange(40), rng.integers(1, 6, 40))
        return (rng.random(40) < 0.4)[groups], groups
    if name == "pairs":
        return np.tile([True, False], 40), np.repeat(np.arange(40), 2)
    groups = np.repeat(np.arange(30), 4)
    # Fifteen pure groups, and fifteen with two rows of each label.
    return np.where(groups < 15, (rng.random(30) < 0.5)[groups], np.tile([True, True, False, False], 30)), groups


def _centred_rank_sum(table: np.ndarray, sample: Sample):
    """The rank sum less its expectation: over all pure groups, and inside each mixed group for the labels at hand."""
    ranks = stats.rankdata(table, axis=0)
    ranks -= ranks.mean(axis=0)
    sizes = np.bincount(sample.groups)
    share = np.bincount(sample.groups, weights=sample.labels) / sizes
    pure = (share == 0) | (share == 1)
    of_pure = share[pure].mean() if pure.any() else 0.0

    def statistic(labels: np.ndarray) -> np.ndarray:
        # A group with unequal sides has another share of positives once it is turned.
        own = np.bincount(sample.groups, weights=labels) / sizes
        return (labels - np.where(pure, of_pure, own)[sample.groups]) @ ranks

    return statistic
