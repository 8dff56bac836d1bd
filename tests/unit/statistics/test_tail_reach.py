"""Intervals of means reach as far as effects with a tail need, and no farther where a claim rests on them."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.group_error import balance_of
from interp_lab.statistics.tail_reach import reach, skewness_of

DRAWS = 800


def _missed(draws: np.ndarray, truth: float) -> tuple[float, float]:
    """Share of intervals that lie above the truth, and below."""
    found = [clustered_mean(row, np.arange(row.size)).interval for row in draws]
    given = np.array([each for each in found if each is not None])
    return float((given[:, 0] > truth).mean()), float((given[:, 1] < truth).mean())


@pytest.mark.parametrize("n", [4, 6, 10, 20])
def test_exponential_effects_are_covered_however_few_the_groups(n: int) -> None:
    above, below = _missed(np.random.default_rng(n).exponential(size=(DRAWS, n)), 1.0)
    assert above + below < 0.065
    assert above < 0.015


@pytest.mark.parametrize("n", [4, 10])
def test_effects_that_show_in_three_of_ten_groups_are_covered_where_any_group_shows_them(n: int) -> None:
    rng = np.random.default_rng(n)
    draws = np.where(rng.random((DRAWS, n)) < 0.3, 1 + 0.5 * rng.normal(size=(DRAWS, n)), 0.0)
    above, below = _missed(draws, 0.3)
    assert above + below < 0.06


@pytest.mark.parametrize("n", [6, 20])
def test_symmetric_effects_lose_hardly_anything_on_the_side_of_zero(n: int) -> None:
    above, below = _missed(1 + np.random.default_rng(n).normal(size=(DRAWS, n)), 1.0)
    assert 0.008 < above < 0.04
    assert below < 0.025


def test_where_no_group_shows_anything_there_is_no_interval() -> None:
    nothing = clustered_mean(np.zeros(9), np.repeat(np.arange(3), 3))
    assert nothing.interval is None
    assert nothing.method.startswith("none: no group shows anything")
    assert nothing.p == 1.0
    assert clustered_mean([0.0, 0.0, 1.0], [0, 1, 2]).interval is not None
    assert clustered_mean([2.0, 2.0, 2.0], [0, 1, 2]).interval == (2.0, 2.0)


def test_an_interval_turns_with_the_sign_of_its_effects() -> None:
    rows = np.random.default_rng(0).exponential(size=12)
    up, down = (clustered_mean(sign * rows, np.arange(12)) for sign in (1.0, -1.0))
    assert (up.low, up.high) == pytest.approx((-down.high, -down.low))
    assert up.p == pytest.approx(down.p)
    assert up.high - up.mean > 1.3 * (up.mean - up.low)


def test_the_p_value_and_the_interval_tell_the_same_of_zero() -> None:
    rng = np.random.default_rng(2)
    shift, excluded = np.linspace(0, 2, 200), []
    for k in range(200):
        found = clustered_mean(shift[k] - rng.exponential(size=8) + 0.5, np.arange(8))
        excluded.append(not found.low <= 0 <= found.high)
        assert excluded[-1] == (found.p < 0.05)
    assert 20 < sum(excluded) < 180


def test_effects_of_one_size_and_many_groups_need_no_longer_side() -> None:
    many = np.tile([0.9, 1.1], 500)
    found = clustered_mean(many, np.arange(1000))
    half = student_critical_value(0.95, 999) * found.standard_error
    assert found.high - found.mean == pytest.approx(half, rel=0.03)
    assert found.mean - found.low == pytest.approx(half)


def test_a_tail_towards_zero_that_is_seen_moves_that_side_out() -> None:
    sums, balance = np.array([[0.1, 0.1, 0.1, -0.3]]), balance_of(np.full(4, 0.25))
    found = reach(np.array([1.0]), np.array([0.2]), skewness_of(sums), balance, level=0.95)
    other = reach(np.array([-1.0]), np.array([0.2]), skewness_of(sums), balance, level=0.95)
    assert found.toward[0] > 1.3
    assert other.toward[0] == 1.0
    assert skewness_of(np.zeros((1, 4)))[0] == 0.0
