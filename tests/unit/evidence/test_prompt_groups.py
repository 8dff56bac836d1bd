from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import ShapeMismatch
from interp_lab.evidence.groups import group_prompts, normalise
from interp_lab.evidence.near_duplicates import near_duplicates

SENTENCE = "the committee decided to postpone the vote until the minister had answered every question"
OTHER = "a red kite circled above the quarry while the last lorry of the evening was being loaded"


def test_case_spacing_and_numbers_do_not_make_a_new_prompt() -> None:
    assert group_prompts(["It weighs 5 kg.", "it  weighs 72 KG.", OTHER]) == [0, 0, 1]


def test_a_changed_letter_makes_a_near_duplicate_and_another_sentence_does_not() -> None:
    assert group_prompts([SENTENCE, OTHER, SENTENCE.replace("vote", "note")]) == [0, 1, 0]


def test_shared_ids_join_and_missing_ids_join_nothing() -> None:
    texts = [SENTENCE, OTHER, "something else entirely", "and a fourth thing"]
    assert group_prompts(texts, ids=[["t1", "t1", None, None]]) == [0, 0, 1, 2]


def test_joining_is_transitive_over_kinds_of_relation() -> None:
    texts = [SENTENCE, SENTENCE + "!", OTHER, "unrelated words stand here"]
    assert group_prompts(texts, ids=[[None, "pair", "pair", None], [None, None, "f", "f"]]) == [0, 0, 0, 0]


def test_ids_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ShapeMismatch):
        group_prompts([SENTENCE, OTHER], ids=[["only one"]])


def test_empty_and_tiny_texts_are_compared_whole() -> None:
    assert group_prompts(["", "a", "b", "a"]) == [0, 1, 2, 1]


@given(st.lists(st.text(alphabet="ab c", max_size=14), max_size=14), st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_the_prefix_filter_finds_exactly_the_pairs_that_comparing_all_finds(
    texts: list[str], similarity: float
) -> None:
    distinct = list(dict.fromkeys(texts))
    sets = [{t[k : k + 5] for k in range(max(1, len(t) - 4))} for t in distinct]
    expected = {
        (i, j)
        for i in range(len(sets))
        for j in range(i + 1, len(sets))
        if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= similarity
    }
    assert set(near_duplicates(distinct, similarity=similarity)) == expected


@given(st.randoms(use_true_random=False))
def test_the_partition_does_not_depend_on_row_order(rng: random.Random) -> None:
    texts = [SENTENCE, SENTENCE + "?", OTHER, OTHER.replace("red", "tan"), "third thing", "Third  thing"]
    order = list(range(len(texts)))
    rng.shuffle(order)
    groups = group_prompts([texts[i] for i in order])
    joined = {frozenset(order[k] for k in range(6) if groups[k] == g) for g in groups}
    assert joined == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}


def test_normalising_twice_changes_nothing() -> None:
    text = "Ｆｕｌｌ width\tand 12 ﬁgures, x2"
    assert normalise(text) == "full width and 0 figures, x2" == normalise(normalise(text))
