from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from interp_lab.errors import NonFiniteInput, ShapeMismatch, TooFewGroups
from interp_lab.methods.probe.controls import (
    constant_guess,
    random_directions,
    shuffled_targets,
    spread_of,
    token_table,
)
from interp_lab.methods.probe.fit import PENALTIES, Prepared, fit_with, mean_difference, train
from interp_lab.methods.probe.target import Target, quick_scores, score_predictions

CLASSES = ("no", "yes")


def binary(n: int, width: int, *, seed: int = 0, signal: float = 1.5) -> tuple[np.ndarray, Target, np.ndarray]:
    """Return activations of very different scales with a planted direction, equal in standardised coordinates."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=n)
    direction = np.ones(width) / np.sqrt(width)
    scales = 10.0 ** rng.uniform(-2, 2, size=width)
    values = (rng.normal(size=(n, width)) + signal * labels[:, None] * direction) * scales + 100 * scales
    return values, Target("binary", labels.astype(float), CLASSES), scales


@pytest.mark.parametrize(("n", "width"), [(300, 20), (60, 200)])
def test_a_binary_probe_equals_sklearns_pipeline_with_balanced_classes(n, width):
    values, target, _ = binary(n, width)
    own = fit_with(Prepared.of(values), target, 0.01)
    oracle = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / (0.01 * n), class_weight="balanced", tol=1e-10, max_iter=20_000)
    ).fit(values, target.codes)
    np.testing.assert_allclose(own.scores(values)[:, 0], oracle.decision_function(values), atol=1e-4)


@pytest.mark.parametrize(("n", "width"), [(300, 20), (60, 200)])
def test_a_regression_equals_sklearns_pipeline_whatever_the_unit(n, width):
    values, _, scales = binary(n, width)
    target = Target("regression", 5e4 + 1e3 * (values / scales) @ np.ones(width))
    own = fit_with(Prepared.of(values), target, 0.1)
    oracle = make_pipeline(StandardScaler(), Ridge(alpha=0.1 * n)).fit(values, target.values)
    np.testing.assert_allclose(own.scores(values)[:, 0], oracle.predict(values), rtol=1e-6)


def test_several_classes_equal_sklearns_pipeline():
    values, _, _ = binary(240, 12, seed=1)
    codes = np.arange(240) % 3
    values[:, 0] += 2 * codes * values[:, 0].std()
    own = fit_with(Prepared.of(values), Target("multiclass", codes.astype(float), ("a", "b", "c")), 0.05)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (0.05 * 240), tol=1e-10, max_iter=20_000))
    expected = oracle.fit(values, codes).decision_function(values)
    found = own.scores(values)
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True), atol=1e-4
    )


def test_a_planted_direction_comes_back_with_the_scaling_undone():
    values, target, scales = binary(3000, 16)
    probe = train(Prepared.of(values), target, np.arange(3000), seed=0)
    standardised = probe.linear.directions[:, 0] * scales
    assert standardised.sum() / np.linalg.norm(standardised) / 4 > 0.95
    assert 0.8 < score_predictions(probe.linear.scores(values), target, np.arange(3000)).value < 0.95


def test_noise_is_met_with_strong_regularisation_and_signal_with_less():
    values, target, _ = binary(300, 60, signal=0.0)
    lost = train(Prepared.of(values), target, np.arange(300), seed=0)
    values, target, _ = binary(300, 60, signal=3.0)
    found = train(Prepared.of(values), target, np.arange(300), seed=0)
    assert lost.penalty >= 1 > found.penalty
    assert set(found.losses) <= set(PENALTIES)
    assert found.losses[found.penalty] < 0.5 < min(lost.losses.values())


def test_folds_that_keep_groups_whole_are_not_fooled_by_copies():
    rng = np.random.default_rng(3)
    values, labels = np.repeat(rng.normal(size=(40, 80)), 6, axis=0), np.repeat(rng.integers(0, 2, size=40), 6)
    target, prepared = Target("binary", labels.astype(float), CLASSES), Prepared.of(values)
    fooled = train(prepared, target, np.arange(240), seed=0)
    grouped = train(prepared, target, np.repeat(np.arange(40), 6), seed=0)
    assert min(fooled.losses.values()) < 0.2
    assert min(grouped.losses.values()) > 0.6


def test_coordinates_that_never_vary_have_no_part():
    values, target, _ = binary(100, 5)
    values[:, 2] = 7.0
    assert fit_with(Prepared.of(values), target, 0.1).directions[2, 0] == 0.0


def test_mean_difference_is_that_of_the_classes():
    values, target, _ = binary(50, 4)
    labels = target.values > 0
    np.testing.assert_allclose(mean_difference(values, target), values[labels].mean(0) - values[~labels].mean(0))


def test_probes_of_shuffled_targets_score_chance_on_new_examples():
    values, target, _ = binary(400, 30, signal=4.0)
    prepared, groups = Prepared.of(values[:200]), np.arange(200) // 2
    shuffled = shuffled_targets(prepared, target.take(np.arange(200)), groups, penalty=0.1, seed=0)
    held_out = spread_of(shuffled, values[200:], target.take(np.arange(200, 400)))
    assert held_out.mean == pytest.approx(0.5, abs=0.1)
    assert held_out.low <= held_out.mean <= held_out.high
    trained = train(prepared, target.take(np.arange(200)), groups, seed=0).linear.scores(values[200:])
    assert score_predictions(trained, target.take(np.arange(200, 400)), np.arange(200)).value > 0.95


def test_one_random_direction_finds_little_of_one_planted_among_many_and_all_of_what_is_everywhere():
    values, target, scales = binary(1000, 60, signal=3.0)
    rows = np.arange(500)
    controls = random_directions(Prepared.of(values[:500]), target.take(rows), seed=0)
    hidden = spread_of(controls, values[500:], target.take(rows + 500))
    assert 0.5 < hidden.mean < 0.75
    shared = target.values[:, None] * 10 * scales + 0.1 * values
    controls = random_directions(Prepared.of(shared[:500]), target.take(rows), seed=0)
    assert spread_of(controls, shared[500:], target.take(rows + 500)).mean > 0.9


def test_the_constant_guess_knows_nothing():
    train_target = Target("regression", np.array([0.0, 1.0, 2.0]))
    assert constant_guess(train_target, Target("regression", np.array([0.0, 4.0]))) <= 0
    three = Target("multiclass", np.array([0.0, 1.0, 2.0, 2.0]), ("a", "b", "c"))
    assert constant_guess(three, three) == pytest.approx(1 / 3)


def test_a_token_predicts_what_it_meant_in_training_and_an_unseen_one_nothing():
    tokens, target = np.array([3, 3, 3, 8, 8, 8]), Target("binary", np.array([1.0, 1, 1, 0, 0, 0]), CLASSES)
    table = token_table(tokens, target, np.array([3, 8, 5]))
    assert table[0, 0] > table[2, 0] > table[1, 0]
    assert table[2, 0] == pytest.approx(0.5)


def test_scores_without_intervals_equal_those_with():
    rng = np.random.default_rng(5)
    for target in (
        Target("regression", rng.normal(size=60)),
        Target("binary", np.arange(60) % 2.0, CLASSES),
        Target("multiclass", np.arange(60) % 3.0, ("a", "b", "c")),
    ):
        predicted = rng.normal(size=(60, target.n_outputs))
        exact = score_predictions(predicted, target, np.arange(60)).value
        assert quick_scores(predicted[None], target)[0] == pytest.approx(exact)


def test_what_cannot_be_fitted_is_refused():
    values, target, _ = binary(40, 4)
    with pytest.raises(TooFewGroups):
        train(Prepared.of(values), target, np.arange(40) % 3, seed=0)
    with pytest.raises(ShapeMismatch):
        score_predictions(np.zeros((39, 1)), target, np.arange(40))
    values[3, 1] = np.nan
    with pytest.raises(NonFiniteInput):
        Prepared.of(values)
