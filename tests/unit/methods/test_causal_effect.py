"""Effects beyond a control: what counts as more than any edit of this size would do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.methods.causal_effect import contrast

GROUPS = np.arange(20)


def noise(seed: int, scale: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, GROUPS.size)


def test_a_clear_effect_exceeds_a_small_control() -> None:
    found = contrast(2 + noise(0), np.array([0.1 + noise(1)]), GROUPS)
    assert found.low > 0
    assert found.difference == pytest.approx(1.9, abs=0.1)
    assert found.p < 1e-6


def test_an_effect_as_large_as_its_control_is_none() -> None:
    found = contrast(2 + noise(0), np.array([2.5 + noise(1)]), GROUPS)
    assert found.difference == 0
    assert found.low < 0 < found.high
    assert found.p == 1


def test_a_control_that_goes_the_other_way_earns_no_credit() -> None:
    alone = contrast(0.2 + noise(0), np.zeros((0, 20)), GROUPS)
    opposed = contrast(0.2 + noise(0), np.array([-5 + noise(1)]), GROUPS)
    assert opposed.difference == pytest.approx(alone.difference)
    assert opposed.low == pytest.approx(alone.low)
    assert opposed.control < 0


def test_an_effect_within_the_floor_is_none_however_sure_it_is() -> None:
    steady = np.full(20, 0.3) + noise(0, 1e-4)
    assert contrast(steady, np.zeros((0, 20)), GROUPS, floor=0.5).difference == 0
    assert contrast(steady, np.zeros((0, 20)), GROUPS, floor=0.1).low > 0


@pytest.mark.parametrize("mean", [-2.0, -0.2, 0.2, 2.0])
def test_the_interval_holds_the_effect_itself_also_where_no_difference_is_left(mean: float) -> None:
    found = contrast(mean + noise(0), np.array([0.1 + noise(1), -0.3 + noise(2)]), GROUPS, floor=0.5)
    assert found.low <= found.effect.mean <= found.high
    assert (found.difference == 0) == (found.low < 0 < found.high)


def test_the_kind_of_control_that_does_most_is_the_one_that_counts() -> None:
    kinds = np.stack([0.1 + noise(1), 1.5 + noise(2)])
    assert contrast(1.0 + noise(0), kinds, GROUPS).difference == 0
    assert contrast(1.0 + noise(0), kinds[:1], GROUPS).low > 0


def test_prompts_of_one_group_are_one_witness() -> None:
    values, few = 0.5 + np.repeat(noise(0, 1.0)[:4], 5), np.repeat(np.arange(4), 5)
    together, apart = (contrast(values, np.zeros((0, 20)), groups) for groups in (few, GROUPS))
    assert together.effect.n_groups == 4
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0, 1))
def test_turning_every_sign_turns_the_contrast(seed: int, mean: float, floor: float) -> None:
    rows, kinds = mean + noise(seed, 0.5), np.stack([noise(seed + 1, 0.3), 0.4 + noise(seed + 2, 0.3)])
    one, other = contrast(rows, kinds, GROUPS, floor=floor), contrast(-rows, -kinds, GROUPS, floor=floor)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == pytest.approx(other.p)
    assert one.low <= one.difference + 1e-9
    assert one.difference <= one.high + 1e-9


def test_noise_is_rarely_taken_for_an_effect() -> None:
    called = [contrast(noise(s, 1.0), np.array([noise(s + 5000, 0.1)]), GROUPS) for s in range(400)]
    assert np.mean([found.low > 0 or found.high < 0 for found in called]) < 0.08
