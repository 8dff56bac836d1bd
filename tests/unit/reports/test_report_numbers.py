from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.reports import numbers


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.fixed(0.93149), "0.931"),
        (numbers.fixed(-1.255, 2), "−1.25"),
        (numbers.fixed(-0.0001), "0.000"),
        (numbers.short(0), "0"),
        (numbers.short(-4.2549), "−4.25"),
        (numbers.short(12.0), "12.0"),
        (numbers.short(812.4), "812"),
        (numbers.short(3.14e7), "3.14e7"),
        (numbers.chance(0.0421), "0.042"),
        (numbers.chance(0.000123), "1.2e-4"),
        (numbers.chance(0.0), "0.000"),
        (numbers.percent(0.4567), "45.7 %"),
        (numbers.percent(0.00042), "0.042 %"),
        (numbers.percent(-2.5), "−250.0 %"),
        (numbers.percent(0.0), "0.0 %"),
        (numbers.count(124_439_808), "124,439,808"),
        (numbers.duration(12.34), "12.3 s"),
        (numbers.duration(187.4), "3 min 7 s"),
    ],
)
def test_numbers_are_written_with_their_digits_and_units(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats(1e-12, 1.0))
def test_a_small_p_value_is_never_written_as_zero(value: float) -> None:
    assert float(numbers.chance(value)) == pytest.approx(value, rel=0.06, abs=0.0006 if value > 0.001 else 0)
    assert float(numbers.chance(value)) > 0


@given(st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9))
def test_three_significant_digits_are_kept_at_any_scale(value: float) -> None:
    assert float(numbers.short(value).replace("−", "-")) == pytest.approx(value, rel=0.006)
