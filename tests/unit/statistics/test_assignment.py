"""The best matching equals that of scipy, and is refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import linear_sum_assignment

from interp_lab.errors import NonFiniteInput, ShapeMismatch
from interp_lab.statistics.assignment import best_assignment


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-6, 6)))
def test_no_matching_has_a_larger_sum(values: np.ndarray) -> None:
    rows, columns = best_assignment(values)
    assert len(rows) == len(set(columns.tolist())) == min(values.shape)
    assert np.array_equal(rows, np.sort(rows))
    assert len(set(rows.tolist())) == len(rows)
    wanted = values[linear_sum_assignment(values, maximize=True)].sum()
    assert values[rows, columns].sum() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
def test_real_values_are_matched_as_scipy_does(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape)
    rows, columns = best_assignment(values)
    wanted = linear_sum_assignment(values, maximize=True)
    assert np.array_equal(rows, wanted[0])
    assert np.array_equal(columns, wanted[1])


def test_what_is_no_finite_matrix_is_refused() -> None:
    with pytest.raises(ShapeMismatch):
        best_assignment([1.0, 2.0])
    with pytest.raises(NonFiniteInput):
        best_assignment([[1.0, float("nan")]])
