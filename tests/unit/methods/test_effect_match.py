"""Effects of two models on the words that both know: the same effect is found, another is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.methods.effect_match import alike, beyond_control, is_harmless, judge_vectors, size_along

N_PROMPTS, N_WORDS = 40, 60
GROUPS = np.repeat(np.arange(N_PROMPTS // 2), 2)


def effects(pattern: NDArray[np.float64], seed: int, noise: float = 0.5) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return pattern[:, None] + noise * rng.normal(size=(len(pattern), N_PROMPTS, N_WORDS))


def test_two_edits_that_do_the_same_are_alike_and_two_that_do_not_are_not() -> None:
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(2, N_WORDS))
    one, two = effects(patterns, 1), effects(patterns, 2)
    random = rng.normal(size=(60, N_WORDS))
    same = judge_vectors(one, two, random, GROUPS, n_permutations=199, seed=0)
    assert (same.similarity > 0.9).all()
    assert (same.low > 0.8).all()
    assert np.maximum(same.p_words, same.p_controls).max() <= 0.02
    crossed = judge_vectors(one, two[::-1], random, GROUPS, n_permutations=199, seed=0)
    assert (np.maximum(crossed.p_words, crossed.p_controls) > 0.05).all()


def test_a_counterpart_that_is_no_closer_than_random_edits_is_not_found_though_the_words_agree() -> None:
    rng = np.random.default_rng(1)
    generic = rng.normal(size=N_WORDS)
    one, two = effects(generic[None], 1), effects(generic[None], 2)
    random = generic + 0.02 * rng.normal(size=(60, N_WORDS))  # any edit of this size does this
    test = judge_vectors(one, two, random, GROUPS, n_permutations=199, seed=0)
    assert test.p_words[0] <= 0.01
    assert test.p_controls[0] > 0.5


def test_false_matches_of_unrelated_effects_come_at_the_stated_rate() -> None:
    rng = np.random.default_rng(2)
    found: list[bool] = []
    for seed in range(100):
        one, two = effects(rng.normal(size=(1, N_WORDS)), seed), effects(rng.normal(size=(1, N_WORDS)), 1000 + seed)
        random = rng.normal(size=(40, N_WORDS))
        test = judge_vectors(one, two, random, GROUPS, n_permutations=99, seed=seed)
        found.append(bool(max(test.p_words[0], test.p_controls[0]) <= 0.05))
    assert sum(found) <= 11  # 5 expected, 11 with probability .99


def test_words_that_move_together_fool_exchanges_of_words_and_random_edits_answer_for_it() -> None:
    rng = np.random.default_rng(5)
    kin = np.repeat(np.eye(6), N_WORDS // 6, axis=1)  # forms of one word: every edit moves them alike
    by_words: list[bool] = []
    by_both: list[bool] = []
    for seed in range(100):
        one, two = (effects(rng.normal(size=(1, 6)) @ kin, part + seed, 0.2) for part in (0, 1000))
        test = judge_vectors(one, two, rng.normal(size=(40, 6)) @ kin, GROUPS, n_permutations=99, seed=seed)
        by_words.append(bool(test.p_words[0] <= 0.05))
        by_both.append(bool(max(test.p_words[0], test.p_controls[0]) <= 0.05))
    assert sum(by_words) >= 15  # 5 stated
    assert sum(by_both) <= 11


def chosen_and_called(seed: int, choosing: slice, judging: slice) -> bool:
    """Choose the closest of 100 unrelated pairs on some words, and test it on others or the same."""
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(2, 10, N_WORDS))
    close = alike(left[:, choosing], right[:, choosing])
    i, j = np.unravel_index(int(close.argmax()), close.shape)
    one, two = effects(left[[i]], seed, 0.1)[..., judging], effects(right[[j]], 1000 + seed, 0.1)[..., judging]
    random = rng.normal(size=(60, N_WORDS))[:, judging]
    test = judge_vectors(one, two, random, GROUPS, n_permutations=99, seed=seed)
    return bool(max(test.p_words[0], test.p_controls[0]) <= 0.05)


def test_pairs_chosen_on_other_words_are_called_at_the_stated_rate_and_on_the_same_words_far_more_often() -> None:
    half = N_WORDS // 2
    apart = [chosen_and_called(seed, slice(0, half), slice(half, N_WORDS)) for seed in range(60)]
    same = [chosen_and_called(seed, slice(0, half), slice(0, half)) for seed in range(60)]
    assert sum(apart) <= 8  # 3 expected, 8 with probability .99
    assert sum(same) >= 45


def test_random_edits_of_the_left_model_stand_in_the_place_of_the_left_unit_too() -> None:
    rng = np.random.default_rng(4)
    pattern = rng.normal(size=(1, N_WORDS))
    one, two, right = effects(pattern, 1), effects(pattern, 2), rng.normal(size=(19, N_WORDS))
    alone = judge_vectors(one, two, right, GROUPS, n_permutations=99, seed=0)
    both = judge_vectors(one, two, right, GROUPS, n_permutations=99, seed=0, left_controls=right[::-1])
    anything = judge_vectors(
        one, two, right, GROUPS, n_permutations=99, seed=0, left_controls=np.repeat(pattern, 20, axis=0)
    )
    assert (alone.p_controls[0], both.p_controls[0]) == (1 / 20, 1 / 39)
    assert anything.p_controls[0] > 0.4


def test_an_edit_exceeds_its_controls_only_if_the_interval_says_so() -> None:
    rng = np.random.default_rng(3)
    sizes = (2 + rng.normal(size=N_PROMPTS)).tolist()
    assert beyond_control(sizes, [0.1] * N_PROMPTS, GROUPS).low > 0
    assert beyond_control(sizes, sizes[::-1], GROUPS).low < 0


def test_an_edit_that_does_nothing_is_like_nothing() -> None:
    assert (alike(np.zeros((1, N_WORDS)), np.ones((1, N_WORDS)) * np.arange(N_WORDS)) == 0).all()


def test_too_few_words_or_groups_are_refused() -> None:
    some = np.zeros((1, N_PROMPTS, 5))
    with pytest.raises(ShapeMismatch):
        judge_vectors(some, some, np.zeros((3, 5)), GROUPS, n_permutations=99, seed=0)
    wide = np.zeros((1, N_PROMPTS, N_WORDS))
    with pytest.raises(TooFewGroups):
        judge_vectors(wide, wide, np.zeros((3, N_WORDS)), np.zeros(N_PROMPTS), n_permutations=99, seed=0)


def test_a_random_edit_and_its_opposite_do_not_cancel() -> None:
    goal = np.eye(3)[:1]
    edit = np.array([[[2.0, 5.0, 0.0], [-2.0, -5.0, 0.0]]])
    assert size_along(edit, goal).tolist() == [2.0]


def test_negatives_are_left_alone_only_where_that_is_known() -> None:
    changes = np.tile([0.1, -0.7], N_PROMPTS // 2)
    groups = np.arange(N_PROMPTS)
    assert is_harmless(changes, groups, 0.6)
    assert not is_harmless(changes, groups, 0.42)  # the mean is .40, its upper end is not below
    assert not is_harmless(changes[:1], groups[:1], 10.0)
    assert not is_harmless(changes[:0], groups[:0], 10.0)
