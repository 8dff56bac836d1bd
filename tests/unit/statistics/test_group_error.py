"""The error of a mean over groups: the textbook's where they weigh the same, wider where a few hold most rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.group_error import group_error


def test_groups_of_one_weight_give_the_textbook_formula() -> None:
    values = np.array([1.0, 4.0, -2.0, 3.0, 0.5])
    found = group_error((values - values.mean()) / 5, np.full(5, 0.2))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(5))
    assert found.df == pytest.approx(4)


def test_the_degrees_of_freedom_are_those_of_the_groups_that_carry_the_mean() -> None:
    nearly = group_error(np.array([0.1, -0.1, 0.0, 0.0]), np.array([0.26, 0.26, 0.24, 0.24]))
    heavy = group_error(np.array([0.1, -0.1, 0.0, 0.0]), np.array([0.94, 0.02, 0.02, 0.02]))
    assert 2.9 < nearly.df < 3
    assert 1 <= heavy.df < 2
    assert heavy.standard_error > 2 * nearly.standard_error


def test_a_group_that_holds_every_row_leaves_a_finite_error() -> None:
    found = group_error(np.array([0.3, -0.3]), np.array([1.0, 0.0]))
    assert np.isfinite(found.standard_error)
    assert found.df == 1


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_the_interval_covers_with_unequal_groups_where_the_textbook_formula_does_not(shared: float) -> None:
    rng, n = np.random.default_rng(0), 8
    groups = np.repeat(np.arange(n), [(1, 2, 12)[place % 3] for place in range(n)])
    weights = np.bincount(groups) / groups.size
    inside = textbook = 0
    for _ in range(800):
        rows = math.sqrt(shared) * rng.normal(size=n)[groups] + math.sqrt(1 - shared) * rng.normal(size=groups.size)
        residuals = np.bincount(groups, weights=rows - rows.mean()) / rows.size
        found = group_error(residuals, weights)
        inside += abs(rows.mean()) <= student_critical_value(0.95, found.df) * found.standard_error
        plain = math.sqrt(float(residuals @ residuals) * n / (n - 1))
        textbook += abs(rows.mean()) <= student_critical_value(0.95, n - 1) * plain
    assert 0.93 <= inside / 800 <= 0.985
    assert textbook / 800 < 0.915
