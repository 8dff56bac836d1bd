"""The interval of a ratio covers the truth as often as it says, and counts groups, not rows."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.clustered_ratio import clustered_ratio


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        groups = np.repeat(np.arange(30), rng.integers(3, 9, 30))
        size = rng.gamma(4, 1, 30)[groups]
        above = 0.3 * size * (1 + 0.4 * rng.standard_normal(30)[groups]) + 0.05 * rng.standard_normal(groups.size)
        found = clustered_ratio(above, size, groups)
        hits += found.low <= 0.3 <= found.high
    assert 0.91 <= hits / 400 <= 0.98


def test_repeating_every_row_does_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(10), 4)
    above, below = rng.random(40), 1 + rng.random(40)
    once = clustered_ratio(above, below, groups)
    twice = clustered_ratio(np.tile(above, 2), np.tile(below, 2), np.tile(groups, 2))
    assert twice == pytest.approx(once)


def test_one_group_has_no_interval() -> None:
    with pytest.raises(TooFewGroups):
        clustered_ratio([1.0, 2.0], [1.0, 1.0], [0, 0])
