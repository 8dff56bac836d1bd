"""Pairs of units on the same prompts: known copies are found, strangers are not, and the rate of both errors holds."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.methods.direction_map import cosine, fit_map
from interp_lab.methods.pattern_match import cells, judge_pairs, similarities
from interp_lab.statistics.sample import Sample

N_GROUPS = 40


def paired(n_groups: int = N_GROUPS) -> Sample:
    return Sample.of([1, 0] * n_groups, np.repeat(np.arange(n_groups), 2))


def one_sided(n_groups: int = N_GROUPS) -> Sample:
    return Sample.of([g % 2 for g in range(n_groups) for _ in range(3)], np.repeat(np.arange(n_groups), 3))


@pytest.mark.parametrize("sample", [paired(), one_sided()], ids=["pairs", "one-sided groups"])
def test_a_copy_is_perfectly_alike_and_a_mirror_image_perfectly_unlike(sample: Sample) -> None:
    rng = np.random.default_rng(0)
    left = cells(rng.normal(size=(sample.n_rows, 4)), sample, {})
    values = similarities(left, left._replace(values=-left.values))
    assert np.diag(values) == pytest.approx([-1] * 4)
    assert np.diag(similarities(left, left)) == pytest.approx([1] * 4)


def test_following_the_label_and_the_length_is_not_being_alike() -> None:
    sample, rng = paired(), np.random.default_rng(1)
    length = rng.uniform(10, 50, sample.n_rows)
    shared = 5.0 * sample.labels[:, None] + 0.3 * length[:, None]
    noise = [shared + rng.normal(size=(sample.n_rows, 1)) for _ in range(2)]
    one, two = (cells(values, sample, {"length": length}) for values in noise)
    naive = np.corrcoef(noise[0][:, 0], noise[1][:, 0])[0, 1]
    assert naive > 0.8
    assert abs(similarities(one, two)[0, 0]) < 0.3


@pytest.mark.parametrize("sample", [paired(20), one_sided(40)], ids=["pairs", "one-sided groups"])
def test_unrelated_units_are_called_alike_at_the_stated_rate(sample: Sample) -> None:
    rng = np.random.default_rng(2)
    n = 300
    group_effect = [rng.normal(size=(sample.n_groups, n)) for _ in range(2)]
    left, right = (
        cells(effect[sample.groups] + rng.normal(size=(sample.n_rows, n)), sample, {}) for effect in group_effect
    )
    found = judge_pairs(left, right, [(i, i) for i in range(n)], n_permutations=199, seed=0)
    assert 0.02 < np.mean(found.p_prompts <= 0.05) < 0.09
    assert 0.02 < np.mean(found.p_units <= 0.05) < 0.09


def test_a_shared_response_is_found_and_its_interval_holds_the_truth() -> None:
    sample, rng = paired(), np.random.default_rng(3)
    signal = rng.normal(size=(sample.n_rows, 1))
    left, right = (cells(signal + 0.5 * rng.normal(size=(sample.n_rows, 60)), sample, {}) for _ in range(2))
    found = judge_pairs(left, right, [(i, i) for i in range(60)], n_permutations=199, seed=0)
    assert (found.p_prompts <= 0.01).all()
    truth = 1 / 1.25
    assert np.mean((found.low <= truth) & (truth <= found.high)) > 0.85


def test_a_unit_that_never_varies_is_like_nothing() -> None:
    sample, rng = paired(), np.random.default_rng(4)
    values = np.concatenate([np.full((sample.n_rows, 1), 3.0), rng.normal(size=(sample.n_rows, 2))], axis=1)
    found = judge_pairs(cells(values, sample, {}), cells(values, sample, {}), [(0, 0)], n_permutations=99, seed=0)
    assert found.similarity[0] == 0
    assert found.p_prompts[0] == 1
    assert found.p_units[0] == 1


def test_the_same_seed_gives_the_same_numbers() -> None:
    sample, rng = paired(), np.random.default_rng(5)
    left, right = (cells(rng.normal(size=(sample.n_rows, 3)), sample, {}) for _ in range(2))
    one, two = (judge_pairs(left, right, [(0, 1)], n_permutations=99, seed=7) for _ in range(2))
    assert [list(a) for a in one] == [list(b) for b in two]


def test_too_few_groups_and_covariates_of_another_length_are_refused() -> None:
    with pytest.raises(TooFewGroups):
        cells(np.zeros((8, 1)), paired(4), {})
    with pytest.raises(ShapeMismatch):
        cells(np.zeros((80, 1)), paired(), {"length": np.zeros(3)})


def test_a_linear_map_is_recovered_and_carries_directions_and_an_unrelated_one_explains_nothing() -> None:
    rng = np.random.default_rng(6)
    left = rng.normal(size=(300, 12))
    truth = rng.normal(size=(12, 9))
    rows = np.arange(300)
    parts = {"fit": rows[:150], "tune": rows[150:200], "test": rows[200:]}
    found = fit_map(left, left @ truth + 0.01 * rng.normal(size=(300, 9)), **parts)
    assert found.held_out_r2 > 0.99
    direction = rng.normal(size=12)
    assert cosine(found.carried(direction), direction @ truth) > 0.999
    assert fit_map(left, rng.normal(size=(300, 9)), **parts).held_out_r2 < 0.05
    assert cosine(np.zeros(3), np.ones(3)) == 0
