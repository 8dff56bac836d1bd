"""What is said of sparse codes and of better handles is right as often as it says, where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from interp_lab.methods.association import associate_codes
from interp_lab.methods.redundancy import redundancy
from interp_lab.methods.small_set import small_set
from interp_lab.statistics.auroc_difference import auroc_difference
from interp_lab.statistics.code_columns import code_columns
from interp_lab.statistics.sample import Sample


def _paired_groups(n_groups: int) -> Sample:
    """Groups of two rows, half of them positive."""
    return Sample.of(np.repeat(np.arange(n_groups) % 2 == 0, 2), np.repeat(np.arange(n_groups), 2))


def _scores(rng: np.random.Generator, sample: Sample, effect: float) -> NDArray[np.float64]:
    """A score whose rows of one group go together."""
    return (
        effect * sample.labels + rng.normal(size=sample.n_groups)[sample.groups] + 0.5 * rng.normal(size=sample.n_rows)
    )


def test_two_equally_good_scores_are_told_apart_at_the_stated_rate() -> None:
    rng, sample = np.random.default_rng(0), _paired_groups(60)
    told = [
        not (found.low <= 0 <= found.high)
        for found in (
            auroc_difference(_scores(rng, sample, 1.0), _scores(rng, sample, 1.0), sample) for _ in range(800)
        )
    ]
    assert 0.02 <= np.mean(told) <= 0.075


def test_a_better_score_is_told_from_a_worse_one() -> None:
    rng, sample = np.random.default_rng(1), _paired_groups(80)
    found = auroc_difference(_scores(rng, sample, 3.0), _scores(rng, sample, 0.3), sample)
    assert found.low > 0


def test_codes_that_follow_no_label_pass_at_the_nominal_rate() -> None:
    rng, sample = np.random.default_rng(2), _paired_groups(60)
    together = rng.random((3000, sample.n_groups))[:, sample.groups]
    codes = np.where(together < 0.3, rng.gamma(2.0, 1.0, (3000, sample.n_rows)), 0).astype(np.float32)
    found = associate_codes(code_columns(codes, sample.n_rows), sample, np.arange(sample.n_rows))
    assert np.mean(found.p <= 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.sum(found.q <= 0.05) <= 2


def test_a_criterion_of_two_halves_needs_a_set_and_one_of_one_does_not() -> None:
    rng, sample = np.random.default_rng(3), _paired_groups(80)
    noise = rng.random((sample.n_rows, 12)) * 0.2
    half = np.arange(sample.n_groups)[sample.groups] // 2 % 2 == 0
    values = noise.copy()
    values[:, 4] += 1.0 * (sample.labels & half)
    values[:, 9] += 1.0 * (sample.labels & ~half)
    found = small_set(values, sample, seed=0)
    assert set(found.members) == {4, 9}
    whole = noise.copy()
    whole[:, 4] += sample.labels
    assert small_set(whole, sample, seed=0).members == (4,)


def test_copies_say_the_same_and_independent_latents_do_not() -> None:
    rng = np.random.default_rng(4)
    values = np.maximum(0, rng.normal(size=(200, 6)))
    values[:, 3] = 2 * values[:, 1] + 0.01 * rng.random(200)
    (group,) = redundancy(values)
    assert (group.leader, group.members) == (1, (3,))
    assert redundancy(np.delete(values, 3, axis=1)) == ()
    twins = np.stack([np.eye(6)[i] for i in (0, 1, 2, 3, 4, 4)])
    (written,) = redundancy(np.delete(values, 3, axis=1)[:, [0, 1, 2, 3, 4, 0]] * [1, 1, 1, 1, 1, 0], decoders=twins)
    assert (written.leader, written.members) == (4, (5,))


def _spread_alone(one: NDArray[np.float64], other: NDArray[np.float64], sample: Sample) -> tuple[float, float]:
    """DeLong's interval of the difference, from the spread of placements and nothing else."""
    wins = [(score[sample.labels][:, None] > score[~sample.labels]).astype(float) for score in (one, other)]
    difference = wins[0] - wins[1]
    error = math.sqrt(sum(difference.mean(axis=side).var(ddof=1) / difference.shape[1 - side] for side in (0, 1)))
    half = float(stats.t.ppf(0.975, min(difference.shape) - 1)) * error
    return float(difference.mean()) - half, float(difference.mean()) + half


@pytest.mark.parametrize(("per_class", "most_alone"), [(6, 0.88), (15, 0.95)])
def test_the_difference_of_two_scores_near_perfection_is_covered_where_their_spread_alone_is_too_small(
    per_class: int, most_alone: float
) -> None:
    rng, truths = np.random.default_rng(6), (0.97, 0.9)
    sample = Sample.of(np.arange(2 * per_class) % 2 == 0)
    inside = alone = 0
    for _ in range(400):
        one, other = (
            rng.normal(size=sample.n_rows) + math.sqrt(2) * stats.norm.ppf(truth) * sample.labels for truth in truths
        )
        found, (low, high) = auroc_difference(one, other, sample), _spread_alone(one, other, sample)
        inside += found.low <= truths[0] - truths[1] <= found.high
        alone += low <= truths[0] - truths[1] <= high
    assert inside / 400 >= 0.93
    assert alone / 400 <= most_alone


def test_two_scores_that_both_separate_perfectly_differ_by_nothing_with_an_open_interval() -> None:
    sample = Sample.of(np.arange(20) < 10)
    found = auroc_difference(sample.labels * 1.0, sample.labels * 2.0 + np.arange(20) / 100, sample)
    assert found.estimate == 0
    assert found.low < -0.05
    assert found.high > 0.05
