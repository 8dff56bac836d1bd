from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from interp_lab.errors import LabelsUnusable, NonFiniteInput, ShapeMismatch, TooFewGroups
from interp_lab.statistics.adjusted import adjusted_separation
from interp_lab.statistics.arrays import checked_matrix
from interp_lab.statistics.auroc import auroc, weighted_auroc
from interp_lab.statistics.basis import smooth_basis
from interp_lab.statistics.bootstrap import cluster_bootstrap
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.effect_size import effect_size
from interp_lab.statistics.false_discovery import benjamini_hochberg, false_discovery, fewest_together
from interp_lab.statistics.firing import firing
from interp_lab.statistics.held_out import group_folds, held_out_scores
from interp_lab.statistics.power import detectable_auroc
from interp_lab.statistics.rank_agreement import spearman, top_overlap
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

LABELS = np.array([True, True, True, False, False, False])
tables = arrays(np.float32, (6, 4), elements=st.integers(-3, 3).map(float))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("statistic", [separation, effect_size, firing])
def test_a_value_that_is_not_finite_is_refused_with_its_row_and_column(statistic, bad: float) -> None:
    table = np.zeros((6, 5), dtype=np.float32)
    table[4, 3] = table[5, 0] = bad
    with pytest.raises(NonFiniteInput, match="row 4, column 3"):
        statistic(table, Sample.of(LABELS))


def test_a_table_with_another_number_of_rows_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="6 rows"):
        checked_matrix(np.zeros((5, 2)), 6)


@given(tables)
def test_turning_the_sign_turns_the_auroc_its_interval_and_not_its_p(table: np.ndarray) -> None:
    up, down = separation(table, Sample.of(LABELS)), separation(-table, Sample.of(LABELS))
    np.testing.assert_allclose(up.auroc, 1 - down.auroc, atol=1e-12)
    np.testing.assert_allclose(up.low, 1 - down.high, atol=1e-9)
    np.testing.assert_allclose(up.standard_error, down.standard_error, atol=1e-12)


@given(tables)
def test_any_growing_function_of_the_values_leaves_every_rank_statistic_as_it_was(table: np.ndarray) -> None:
    plain, bent = separation(table, Sample.of(LABELS)), separation(np.exp(table) * 7 - 2, Sample.of(LABELS))
    for name in ("auroc", "low", "high", "p"):
        np.testing.assert_allclose(getattr(plain, name), getattr(bent, name), atol=1e-9)


@given(tables)
def test_every_interval_holds_its_estimate_and_lies_within_zero_and_one(table: np.ndarray) -> None:
    found = separation(table, Sample.of(LABELS))
    assert ((found.low >= 0) & (found.low <= found.auroc) & (found.auroc <= found.high) & (found.high <= 1)).all()
    assert ((found.p > 0) & (found.p <= 1)).all()


@given(tables, st.permutations(range(6)))
def test_row_order_and_group_names_do_not_matter(table: np.ndarray, order: list[int]) -> None:
    groups = np.array([0, 0, 1, 2, 3, 3])
    base = separation(table, Sample.of(LABELS, groups))
    moved = separation(table[order], Sample.of(LABELS[order], 9 - groups[order]))
    np.testing.assert_allclose(base.auroc, moved.auroc, atol=1e-12)
    np.testing.assert_allclose(base.p, moved.p, atol=1e-9)
    np.testing.assert_allclose(base.low, moved.low, atol=1e-9)


@settings(max_examples=20)
@given(st.integers(2, 6))
def test_copying_every_row_within_its_group_adds_no_evidence(copies: int) -> None:
    rng = np.random.default_rng(copies)
    labels, table = np.arange(30) % 2 == 0, rng.normal(size=(30, 8))
    once = separation(table, Sample.of(labels))
    again = separation(
        np.repeat(table, copies, axis=0), Sample.of(np.repeat(labels, copies), np.repeat(range(30), copies))
    )
    for name in ("auroc", "low", "high", "p"):
        np.testing.assert_allclose(getattr(once, name), getattr(again, name), atol=1e-9)


def test_a_constant_column_has_no_effect_and_no_doubt() -> None:
    found = separation(np.ones((6, 1)), Sample.of(LABELS))
    assert [float(v[0]) for v in (found.auroc, found.low, found.high, found.p)] == [0.5, 0.5, 0.5, 1.0]
    size = effect_size(np.full((6, 1), 0.1), Sample.of(LABELS))
    assert (size.d[0], size.r[0]) == (0.0, 0.0)


def test_a_latent_that_is_silent_on_negatives_is_found_although_most_values_are_zero() -> None:
    table = np.zeros((100, 1), dtype=np.float32)
    labels = np.arange(100) < 50
    table[:25, 0] = 1 + np.arange(25)
    found = separation(table, Sample.of(labels))
    assert found.auroc[0] == 0.75
    assert found.p[0] < 1e-6


def test_d_is_infinite_with_its_sign_where_neither_class_varies() -> None:
    table = np.stack([LABELS, ~LABELS], axis=1).astype(np.float32)
    size = effect_size(table, Sample.of(LABELS))
    assert size.d.tolist() == [math.inf, -math.inf]
    np.testing.assert_allclose(size.r, [1, -1])


def test_firing_counts_values_above_the_threshold_on_each_side() -> None:
    table = np.array([[1.0], [0.0], [2.0], [0.5], [0.0], [0.0]])
    found = firing(table, Sample.of(LABELS))
    assert [float(v[0]) for v in (found.on_positives, found.on_negatives, found.density)] == [2 / 3, 1 / 3, 0.5]
    assert firing(table, Sample.of(LABELS), above=0.5).on_negatives[0] == 0


def test_many_columns_give_the_same_numbers_as_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(300) < 0.5
    table = rng.normal(size=(300, 2000)).astype(np.float32)
    whole, one = separation(table, Sample.of(labels)), separation(table[:, 1777:1778], Sample.of(labels))
    assert (whole.auroc[1777], whole.p[1777], whole.low[1777]) == (one.auroc[0], one.p[0], one.low[0])


def test_a_weighting_without_negatives_is_refused() -> None:
    with pytest.raises(LabelsUnusable, match="Weighting 1"):
        weighted_auroc(np.zeros((6, 1)), LABELS, np.stack([np.ones(6), LABELS]))
    assert auroc(np.zeros((6, 1)), LABELS).tolist() == [0.5]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_is_never_below_p_and_keeps_its_order(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    assert (q >= np.array(p) - 1e-12).all()
    assert (np.diff(q[np.argsort(p)]) >= -1e-12).all()


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_a_p_value_outside_zero_and_one_is_refused(bad: float) -> None:
    with pytest.raises(NonFiniteInput, match="index 1"):
        benjamini_hochberg([0.5, bad])


def test_one_group_has_no_interval() -> None:
    for refused in (
        lambda: clustered_mean([1.0, 2.0], [0, 0]),
        lambda: cluster_bootstrap(lambda rows: rows.mean(), [0, 0], seed=0),
        lambda: detectable_auroc(1, 5),
    ):
        with pytest.raises(TooFewGroups):
            refused()


def test_a_mean_of_equal_values_is_certain() -> None:
    found = clustered_mean([2.0, 2.0, 2.0], [0, 1, 2])
    assert (found.low, found.high, found.p) == (2.0, 2.0, 0.0)


def test_the_bootstrap_repeats_itself_under_one_seed() -> None:
    values = np.arange(20.0)
    runs = [cluster_bootstrap(lambda r: values[r].mean(), np.arange(20) // 2, seed=s, draws=50) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_rank_agreement_of_a_constant_is_zero_and_of_one_value_refused() -> None:
    assert spearman([1, 2, 3], [5, 5, 5]) == 0
    assert top_overlap([3, 2, 1, 0], [3, 0, 2, 1], 2) == 0.5
    with pytest.raises(ShapeMismatch):
        spearman([1], [2])


def test_folds_keep_groups_whole_and_deal_each_kind_evenly() -> None:
    groups = np.repeat(np.arange(40), 3)
    sample = Sample.of((np.arange(40) < 20)[groups], groups)
    folds = group_folds(sample, n_folds=4, seed=0)
    assert all(len(set(folds[groups == g])) == 1 for g in range(40))
    assert [int(sample.labels[folds == f].sum()) for f in range(4)] == [15, 15, 15, 15]


@pytest.mark.parametrize("n_features", [5, 300])
def test_held_out_scores_find_a_direction_in_few_or_many_features_and_nothing_in_noise(n_features: int) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(160) % 2 == 0
    noise = rng.normal(size=(160, n_features))
    signal = noise + 1.2 * labels[:, None] * (np.arange(n_features) < 5)
    found = auroc(np.stack([held_out_scores(t, Sample.of(labels)) for t in (signal, noise)], axis=1), labels)
    assert found[0] > 0.8
    assert abs(found[1] - 0.5) < 0.15


def test_a_model_that_saw_the_group_would_score_what_held_out_groups_do_not() -> None:
    groups = np.repeat(np.arange(40), 5)
    labels = (np.arange(40) % 2 == 0)[groups]
    identity = np.eye(40)[groups]
    honest = held_out_scores(identity, Sample.of(labels, groups))
    leaking = held_out_scores(identity, Sample.of(labels))
    assert auroc(np.stack([honest, leaking], axis=1), labels).tolist() == [0.5, 1.0]


def test_constant_covariates_vanish_from_the_basis_and_small_samples_get_straight_lines() -> None:
    rng = np.random.default_rng(0)
    table = np.stack([rng.random(200), np.ones(200)], axis=1)
    assert smooth_basis(table, 200).shape == (200, 5)
    assert smooth_basis(table, 15).shape == (200, 1)
    assert smooth_basis(np.ones((200, 1)), 200).shape == (200, 0)


def test_as_many_covariates_as_groups_leave_nothing_separable() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2 == 0
    found = adjusted_separation(rng.normal(size=(12, 2)), Sample.of(labels), rng.normal(size=(12, 11)))
    assert not found.separable


def test_tests_that_cannot_reach_a_small_p_are_not_counted_against_those_that_can() -> None:
    p = [0.001] * 3 + [0.3] * 97
    counted = benjamini_hochberg(p)
    least = [0.001] * 10 + [0.2] * 90
    found = false_discovery(p, least)
    assert counted[0] == pytest.approx(0.1 / 3)
    assert found[0] == pytest.approx(0.001 * 10 / 0.95 / 3)
    assert (found >= p).all()
    assert false_discovery(p, [0.0] * 100).tolist() == counted.tolist()


def test_how_many_must_reach_the_smallest_p_together_follows_from_what_they_can_reach() -> None:
    assert fewest_together([1e-6] * 100) == 1
    assert fewest_together([0.001] * 300 + [0.2] * 700) == 7
    assert (false_discovery([0.001] * 6 + [0.9] * 994, [0.001] * 300 + [0.2] * 700) <= 0.05).sum() == 0
    assert (false_discovery([0.001] * 7 + [0.9] * 993, [0.001] * 300 + [0.2] * 700) <= 0.05).sum() == 7
    assert fewest_together([0.06] * 100) is None
