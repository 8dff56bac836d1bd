"""Looking again and stopping when an interval is narrow keeps its coverage; without the correction it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interp_lab.errors import InvalidRequest
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.repeated_looks import in_order, look_sizes, repeated_looks

SIZES = (10, 20, 30, 40)
N_WORLDS = 1500


def coverage(draw: Any, width: float, level: float) -> tuple[float, float]:
    """Share of sequences whose last interval holds the mean 1, and mean groups used; stops on the width."""
    rng = np.random.default_rng(5)
    held, used = 0, 0
    for _ in range(N_WORLDS):
        values = draw(rng)
        for n in SIZES:
            found = clustered_mean(values[:n], np.arange(n), level=level)
            if (found.high - found.low) / 2 <= width:
                break
        held += found.low <= 1.0 <= found.high
        used += n
    return held / N_WORLDS, used / N_WORLDS


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75])
def test_an_interval_at_which_one_stops_covers_at_its_stated_rate(width: float) -> None:
    level = repeated_looks(SIZES).nominal(0.95)
    found, used = coverage(lambda rng: 1.0 + rng.standard_normal(40), width, level)
    assert found >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / N_WORLDS)
    assert used < 40 or width < 0.36


def test_stopping_at_significance_keeps_the_corrected_rate_and_breaks_the_plain_one() -> None:
    rng = np.random.default_rng(8)
    looks = repeated_looks(SIZES)
    plain = corrected = 0
    for _ in range(N_WORLDS):
        values = rng.standard_normal(40)
        p = [clustered_mean(values[:n], np.arange(n)).p for n in SIZES]
        plain += min(p) <= 0.05
        corrected += min(map(looks.adjusted, p)) <= 0.05
    assert plain / N_WORLDS > 0.09
    assert corrected / N_WORLDS < 0.05 + 3 * np.sqrt(0.05 * 0.95 / N_WORLDS)


def test_one_look_needs_no_correction_and_more_looks_need_more() -> None:
    one, four = repeated_looks((40,)), repeated_looks(SIZES)
    assert one.nominal(0.95) == pytest.approx(0.95, abs=0.005)
    assert 0.97 < four.nominal(0.95) < 0.99
    assert four.adjusted(0.02) > one.adjusted(0.02) == pytest.approx(0.02, abs=0.004)
    assert repeated_looks(SIZES).nominal(0.95) == four.nominal(0.95)


def test_looks_rise_to_all_groups_in_an_order_of_their_own() -> None:
    assert look_sizes(40, least=10) == (10, 20, 30, 40)
    assert look_sizes(12, least=10) == (10, 12)
    assert look_sizes(6, least=6) == (6,)
    assert in_order([3, 1, 2, 3], 0) == in_order([2, 3, 1], 0)
    with pytest.raises(InvalidRequest):
        repeated_looks((5, 5))
