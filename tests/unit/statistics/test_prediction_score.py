from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from interp_lab.errors import LabelsUnusable, NonFiniteInput, TooFewGroups
from interp_lab.statistics.family_wise import holm
from interp_lab.statistics.group_shuffle import shuffled_by_group, stratified_folds
from interp_lab.statistics.prediction_score import auroc_score, balanced_accuracy, r_squared
from interp_lab.statistics.sample import Sample


def test_scores_equal_sklearns():
    rng = np.random.default_rng(0)
    classes, groups = rng.integers(0, 3, size=120), np.arange(120) // 2
    guessed = np.where(rng.random(120) < 0.6, classes, rng.integers(0, 3, size=120))
    found = balanced_accuracy(guessed, classes, groups)
    assert found.value == pytest.approx(balanced_accuracy_score(classes, guessed))
    assert found.low < found.value < found.high
    target = rng.normal(size=120)
    assert r_squared(target + 0.5, target, groups).value == pytest.approx(r2_score(target, target + 0.5))
    labels = classes > 0
    assert auroc_score(target, Sample.of(labels)).value == pytest.approx(roc_auc_score(labels, target))


@pytest.mark.parametrize("truth", [0.45, 0.75])
def test_the_interval_of_balanced_accuracy_holds_the_truth_as_often_as_it_says(truth):
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        group_class = np.repeat(np.arange(3), 20)
        right = rng.random(60) < truth
        classes, groups = np.repeat(group_class, 4), np.repeat(np.arange(60), 4)
        # All rows of a group are right or wrong together: rows count for nothing, groups for all.
        guessed = np.where(np.repeat(right, 4), classes, (classes + 1) % 3)
        found = balanced_accuracy(guessed, classes, groups)
        held += found.low <= truth <= found.high
    assert held / 300 > 0.92


def test_the_interval_of_r_squared_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        signal, noise = rng.normal(size=80), rng.normal(size=80)
        found = r_squared(np.repeat(signal, 3), np.repeat(signal + noise, 3), np.repeat(np.arange(80), 3))
        held += found.low <= 0.5 <= found.high
    assert held / 300 > 0.9


def test_guesses_without_information_are_rarely_called():
    rng = np.random.default_rng(3)
    called = np.zeros(2)
    for _ in range(200):
        classes, groups = np.repeat(rng.integers(0, 4, size=60), 3), np.repeat(np.arange(60), 3)
        called[0] += balanced_accuracy(np.repeat(rng.integers(0, 4, size=60), 3), classes, groups).p <= 0.05
        target = np.repeat(rng.normal(size=60), 3)
        called[1] += r_squared(np.repeat(rng.normal(size=60) * 0.1, 3), target, groups).p <= 0.05
    assert (called / 200 <= 0.08).all()


def test_perfect_predictions_keep_an_interval_that_admits_doubt():
    classes = np.repeat([0, 1, 2], 6)
    found = balanced_accuracy(classes, classes, np.arange(18))
    assert found.value == found.high == 1.0
    assert found.low < 0.95
    assert found.p < 1e-3


def test_predictions_that_harm_have_a_negative_r_squared_and_no_significance():
    target = np.arange(10.0)
    found = r_squared(-target, target, np.arange(10))
    assert found.value < 0
    assert found.p == 1.0


def test_scores_that_cannot_be_are_refused():
    with pytest.raises(LabelsUnusable):
        r_squared(np.zeros(6), np.ones(6), np.arange(6))
    with pytest.raises(TooFewGroups):
        r_squared(np.zeros(6), np.arange(6.0), np.zeros(6))
    with pytest.raises(TooFewGroups):
        balanced_accuracy(np.array([0, 1, 1]), np.array([0, 1, 1]), np.array([0, 1, 2]))


def test_holm_is_the_textbook_procedure():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    with pytest.raises(NonFiniteInput):
        holm([0.5, float("nan")])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_shuffling_keeps_what_groups_hold_but_not_where():
    rng = np.random.default_rng(4)
    values, groups = np.repeat(np.arange(40.0), 3), np.repeat(np.arange(40), 3)
    shuffled = shuffled_by_group(values, groups, rng)
    np.testing.assert_array_equal(np.sort(shuffled), values)
    assert all(len(set(shuffled[groups == g])) == 1 for g in range(40))
    assert abs(np.corrcoef(shuffled, values)[0, 1]) < 0.5


def test_shuffling_turns_the_sides_of_counterfactual_pairs():
    rng = np.random.default_rng(5)
    values, groups = np.tile([0.0, 1.0], 200), np.repeat(np.arange(200), 2)
    shuffled = shuffled_by_group(values, groups, rng)
    assert (np.bincount(groups, weights=shuffled) == 1).all()
    assert 0.35 < np.mean(shuffled == values) < 0.65


def test_folds_keep_groups_whole_and_share_classes_out():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(50), 2)
    strata = (groups % 5 == 0).astype(float)
    folds = stratified_folds(strata, groups, n_folds=5, rng=rng)
    assert all(len(set(folds[groups == g])) == 1 for g in range(50))
    assert {int(strata[folds == fold].sum()) for fold in range(5)} == {4}
