"""The error of a mean over groups: the textbook's where they weigh the same, wider where a few hold most rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.group_error import balance_of, group_error


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


@pytest.mark.parametrize("alike", [False, True])
def test_squares_are_right_on_average_whether_or_not_rows_of_a_group_are_alike(alike: bool) -> None:
    sizes = np.array([1, 2, 8, 1, 2, 8, 1, 2, 8, 1])
    weights, groups = sizes / sizes.sum(), np.repeat(np.arange(sizes.size), sizes)
    rng, squares, spread = np.random.default_rng(1), [], []
    for _ in range(4000):
        rows = rng.normal(size=sizes.size)[groups] if alike else rng.normal(size=groups.size)
        residuals = np.bincount(groups, weights=rows - rows.mean()) / rows.size
        squares.append(group_error(residuals, weights).standard_error ** 2)
        spread.append(rows.mean())
    assert np.mean(squares) >= 0.95 * np.var(spread)
    assert np.mean(squares) <= (1.05 if alike else 1.4) * np.var(spread)


def test_means_of_several_levels_have_the_balance_that_each_has_alone() -> None:
    first, second = np.array([0.5, 0.3, 0.2]), np.full(5, 0.2)
    both = balance_of(np.concatenate([first, second]), np.repeat([0, 1], [3, 5]), 2)
    for place, alone in enumerate(map(balance_of, (first, second))):
        for name in ("df", "squares", "lopsided"):
            assert getattr(both, name)[place] == pytest.approx(float(getattr(alone, name)[0]))
    np.testing.assert_allclose(both.inverse, np.concatenate([balance_of(first).inverse, balance_of(second).inverse]))


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
    assert inside / 800 >= 0.94
    assert textbook / 800 < 0.915
