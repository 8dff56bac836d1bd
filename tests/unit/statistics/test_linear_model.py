from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from interp_lab.errors import InvalidRequest, ShapeMismatch
from interp_lab.statistics.linear_model import fit_linear, mean_loss

N, D = 240, 30


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, D))
    features -= features.mean(axis=0)
    return features, features @ rng.normal(size=D) + 3 * rng.normal(size=N)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 10.0])
def test_least_squares_equals_sklearns_ridge(penalty):
    features, target = drawn()
    fit = fit_linear(features, target[:, None], np.ones(N), family="squared", penalty=penalty)
    oracle = Ridge(alpha=penalty * N).fit(features, target)
    np.testing.assert_allclose(fit.coefficients[:, 0], oracle.coef_, atol=1e-8)
    np.testing.assert_allclose(fit.intercepts[0], oracle.intercept_, atol=1e-8)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 10.0])
def test_logistic_equals_sklearns_with_row_weights(penalty):
    features, target = drawn(1)
    labels, weights = (target > 1).astype(float), np.random.default_rng(2).uniform(0.2, 2, size=N)
    fit = fit_linear(features, labels[:, None], weights, family="logistic", penalty=penalty)
    oracle = LogisticRegression(C=1 / (penalty * weights.sum()), tol=1e-10, max_iter=10_000)
    oracle.fit(features, labels, sample_weight=weights)
    np.testing.assert_allclose(fit.coefficients[:, 0], oracle.coef_[0], atol=1e-5)
    np.testing.assert_allclose(fit.intercepts, oracle.intercept_, atol=1e-5)


@pytest.mark.parametrize("penalty", [1e-2, 1.0])
def test_multinomial_equals_sklearns_up_to_the_free_shift_of_intercepts(penalty):
    features, target = drawn(3)
    classes = np.digitize(target, [-5.0, 0.0, 6.0])
    fit = fit_linear(features, np.eye(4)[classes], np.ones(N), family="softmax", penalty=penalty)
    oracle = LogisticRegression(C=1 / (penalty * N), tol=1e-10, max_iter=10_000).fit(features, classes)
    np.testing.assert_allclose(fit.coefficients, oracle.coef_.T, atol=1e-5)
    np.testing.assert_allclose(
        fit.intercepts - fit.intercepts.mean(), oracle.intercept_ - oracle.intercept_.mean(), atol=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), power=st.integers(-4, 2))
def test_a_rotation_of_the_features_changes_no_score(seed, power):
    features, target = drawn(seed)
    labels = (target > 0).astype(float)[:, None]
    turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(D, D)))[0]
    plain = fit_linear(features, labels, np.ones(N), family="logistic", penalty=10.0**power)
    turned = fit_linear(features @ turn, labels, np.ones(N), family="logistic", penalty=10.0**power)
    np.testing.assert_allclose(plain.scores(features), turned.scores(features @ turn), atol=1e-3)


def test_a_start_elsewhere_leads_to_the_same_minimum():
    features, target = drawn(4)
    labels = (target > 0).astype(float)[:, None]
    far = fit_linear(features, 1 - labels, np.ones(N), family="logistic", penalty=1e-3)
    from_far = fit_linear(features, labels, np.ones(N), family="logistic", penalty=1e-2, start=far)
    from_zero = fit_linear(features, labels, np.ones(N), family="logistic", penalty=1e-2)
    np.testing.assert_allclose(from_far.coefficients, from_zero.coefficients, atol=1e-5)


def test_separable_classes_converge_to_finite_coefficients():
    features = np.array([[-1.0], [-0.5], [0.5], [1.0]])
    fit = fit_linear(features, np.array([[0.0], [0.0], [1.0], [1.0]]), np.ones(4), family="logistic", penalty=1e-4)
    assert 5 < fit.coefficients[0, 0] < 1000
    assert mean_loss(fit, features, np.array([[0.0], [0.0], [1.0], [1.0]]), weights=np.ones(4), family="logistic") < 0.1


def test_what_does_not_fit_is_refused():
    features, target = drawn()
    with pytest.raises(ShapeMismatch):
        fit_linear(features, target[:-1, None], np.ones(N), family="squared", penalty=1.0)
    with pytest.raises(InvalidRequest):
        fit_linear(features, target[:, None], np.ones(N), family="squared", penalty=0.0)
