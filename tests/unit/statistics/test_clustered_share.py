"""Shares of dependent rows: groups count, not rows."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.statistics.distributions import student_critical_value
from interp_lab.statistics.wilson import wilson_interval


def test_where_all_rows_agree_the_interval_counts_groups() -> None:
    found = clustered_share([True] * 30, np.repeat(np.arange(10), 3))
    low, high = wilson_interval(1.0, 10, critical=student_critical_value(0.95, 9))
    assert (found.share, found.low, found.high) == (1.0, pytest.approx(float(low)), pytest.approx(float(high)))
    assert (found.n_yes, found.n_rows, found.n_groups) == (30, 30, 10)


def test_a_fault_that_is_seen_makes_no_interval_narrower() -> None:
    groups, right = np.repeat(np.arange(89), 5), np.ones(445, dtype=bool)
    none = clustered_share(right, groups)
    right[7] = False
    one = clustered_share(right, groups)
    assert one.low <= none.low
    assert clustered_share(~right, groups).high >= clustered_share(np.zeros(445), groups).high
    dice, exceeded = np.random.default_rng(3), 0
    for _ in range(400):  # a model in ten is faulty, and then a fifth of its latents are: the share is 0.98
        faulty = (dice.random((89, 5)) < 0.2) & (dice.random(89) < 0.1)[:, None]
        exceeded += clustered_share(~faulty.ravel(), groups).low > 0.98
    assert exceeded / 400 < 0.025


def test_rows_that_are_alike_within_groups_widen_the_interval() -> None:
    alike = np.repeat(np.arange(20) % 2 == 0, 5)
    mixed = np.tile([True, False], 50)
    groups = np.repeat(np.arange(20), 5)
    wide, narrow = clustered_share(alike, groups), clustered_share(mixed, groups)
    assert wide.share == narrow.share == 0.5
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_independent_rows_get_wilsons_interval_at_most() -> None:
    found = clustered_share([True, False, True, True], [0, 1, 2, 3])
    low, high = wilson_interval(0.75, 4)
    assert found.low <= float(low)
    assert found.high >= float(high)


def test_the_interval_covers_a_share_of_dependent_rows_at_about_its_level() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    covered = 0
    for _ in range(400):
        own = np.repeat(rng.beta(4.0, 1.0, 40), 5)
        found = clustered_share(rng.random(200) < own, groups)
        covered += found.low <= 0.8 <= found.high
    assert covered / 400 > 0.92


def test_few_groups_make_the_interval_wide_however_many_rows_there_are() -> None:
    yes = np.tile([True, True, True, False], 50)
    few, many = (clustered_share(yes, np.repeat(np.arange(n), 200 // n)) for n in (4, 40))
    assert few.high - few.low > 1.3 * (many.high - many.low)


def test_weights_make_it_a_weighed_share() -> None:
    found = clustered_share([True, True, True, False], [0, 1, 2, 3], weights=[1.0, 1.0, 1.0, 3.0])
    assert found.share == pytest.approx(0.5)
    assert found.low < 0.5 < found.high


def test_no_rows_have_no_share() -> None:
    with pytest.raises(TooFewGroups):
        clustered_share([], [])


def test_one_more_fault_never_raises_the_lower_end_of_a_share_wherever_it_is() -> None:
    rng = np.random.default_rng(5)
    for n_groups, size in ((10, 4), (40, 5)):
        groups, right = np.repeat(np.arange(n_groups), size), np.ones(n_groups * size, dtype=bool)
        none = clustered_share(right, groups).low
        for row in rng.permutation(right.size)[: right.size // 2]:
            right[row] = False
            assert clustered_share(right, groups).low <= none + 1e-12
