"""What an estimate may leave out, and what it is expected to miss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from interp_lab.methods.screen_margin import Places, error_bound, recall_of, strengths, widen, within_margin
from interp_lab.statistics.arrays import Floats


def test_a_source_is_as_strong_as_its_largest_effect_for_the_size_of_the_target() -> None:
    found = strengths(np.array([[1.0, -4.0, 9.0], [3.0, 0.0, 0.0]]), np.array([1.0, 2.0, 0.0]))
    assert found.tolist() == [2.0, 3.0], "a target that never varies counts for nothing"


def test_the_bound_holds_for_a_further_source_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held: list[bool] = []
    for _ in range(400):
        estimated = rng.lognormal(size=65)
        exact = estimated * rng.lognormal(sigma=1.5, size=65)
        held.append(bool(exact[64] <= error_bound(estimated[:64], exact[:64]) * estimated[64]))
    assert 0.96 <= np.mean(held) < 1.0


def test_effects_that_the_estimate_does_not_see_leave_no_bound() -> None:
    estimated, exact = np.zeros(64), np.zeros(64)
    assert error_bound(estimated, exact) == 0
    exact[:8] = 1.0
    assert error_bound(estimated, exact) == float("inf")
    assert error_bound(np.ones(5), np.ones(5)) == float("inf"), "five say nothing of 98 %"


def test_what_the_error_leaves_open_is_kept_the_largest_first() -> None:
    estimated = np.array([0.1, 0.5, 0.3, 0.9])
    assert within_margin(estimated, 2.0, 0.6, most=10).tolist() == [3, 1, 2]
    assert within_margin(estimated, 2.0, 0.6, most=2).tolist() == [3, 1]
    assert within_margin(estimated, float("inf"), 99.0, most=10).tolist() == [3, 1, 2, 0], "no bound rules nothing out"
    assert within_margin(estimated, 0.5, 0.6, most=10).tolist() == []


def test_the_recall_is_known_only_where_nothing_was_left_or_some_of_it_was_looked_at() -> None:
    assert recall_of(8, 0, n_drawn=0, n_missed=0) == (1.0, 1.0, 1.0)
    assert recall_of(8, 100, n_drawn=0, n_missed=0) is None
    none_seen = recall_of(8, 100, n_drawn=60, n_missed=0)
    assert none_seen is not None
    assert none_seen.share == none_seen.high == 1.0
    assert none_seen.low < 0.6, "sixty without a miss do not rule out a few among a hundred"
    some = recall_of(8, 80, n_drawn=40, n_missed=4)
    assert some is not None
    assert some.share == pytest.approx(8 / 16)
    assert some.low < some.share < some.high


def answers(exact: Floats) -> Callable[[Places, str], Floats]:
    return lambda places, _: exact[places]


def test_the_strongest_are_found_though_the_estimate_ranks_them_badly_and_what_is_missed_is_told() -> None:
    rng = np.random.default_rng(1)
    found: list[float] = []
    compared: list[int] = []
    by_estimate: list[float] = []
    for seed in range(40):
        exact = rng.lognormal(sigma=2.0, size=2000)
        estimated = exact * rng.lognormal(sigma=0.7, size=2000)
        top = set(np.argsort(-exact)[:16].tolist())
        one = widen(estimated, answers(exact), 16, n_drawn=64, most=2000, seed=seed)
        found.append(len(top & set(one.places.tolist())) / 16)
        assert one.recall is not None
        assert one.recall.low <= found[-1]
        compared.append(len(one.places))
        by_estimate.append(len(top & set(np.argsort(-estimated)[:16].tolist())) / 16)
    assert np.mean(found) > 0.99
    assert np.mean(by_estimate) < 0.9
    assert np.mean(compared) < 400


def test_sources_without_an_effect_are_not_missed_where_fewer_have_one_than_are_asked_for() -> None:
    exact = np.zeros(500)
    exact[:5] = 1.0
    one = widen(exact.copy(), answers(exact), 16, n_drawn=64, most=100, seed=0)
    assert set(range(5)) <= set(one.places.tolist())
    assert len(one.places) == 16 + 64, "an estimate of none, times any bound, leaves nothing open"
    assert one.recall is not None
    assert one.recall.share == 1.0
