"""The inverted index finds exactly the pairs that comparing every two texts finds."""

from __future__ import annotations

import random

import pytest

from interp_lab.evidence import near_duplicates as module
from interp_lab.evidence.few_duplicates import few_duplicates
from interp_lab.evidence.near_duplicates import near_duplicates

FRAME = "tell me whether the old man by the river would ever buy a {} {} from the small shop in the town"


def shingles(text: str) -> set[str]:
    return {text[k : k + 5] for k in range(max(1, len(text) - 4))}


def every_pair(texts: list[str], similarity: float) -> set[tuple[int, int]]:
    sets = [shingles(text) for text in texts]
    return {
        (i, j)
        for i in range(len(sets))
        for j in range(i + 1, len(sets))
        if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= similarity
    }


def framed(n: int, seed: int, letters: str = "abcdefgh") -> list[str]:
    dice = random.Random(seed)
    words = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(40)]
    return list(dict.fromkeys(FRAME.format(dice.choice(words), dice.choice(words)) for _ in range(n)))


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.9])
def test_many_copies_of_one_template_give_the_pairs_that_comparing_all_gives(similarity: float) -> None:
    texts = framed(150, 3)
    expected = every_pair(texts, similarity)
    assert expected
    assert set(near_duplicates(texts, similarity=similarity)) == expected
    assert set(few_duplicates(texts, similarity=similarity)) == expected


@pytest.mark.parametrize(("cells", "pairs", "crowded"), [(200, 7, 2.0), (200, 7, 0.0), (1, 1, 1 / 16)])
def test_how_the_work_is_cut_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, cells: int, pairs: int, crowded: float
) -> None:
    texts = [*framed(80, 5), "", "a", "ab", "abc\x00", "abcde", "a quite different sentence"]
    expected = every_pair(texts, 0.8)
    monkeypatch.setattr(module, "_CELLS", cells)
    monkeypatch.setattr(module, "_PAIRS", pairs)
    monkeypatch.setattr(module, "_CROWDED", crowded)
    assert set(near_duplicates(texts)) == expected


def test_an_alphabet_too_large_for_one_number_is_exact() -> None:
    wide = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    texts = [wide, wide[:-100], wide[5000:], "a\U0001f600b\ud800cdef", "a\U0001f600b\ud800cdeg"]
    assert set(near_duplicates(texts)) == every_pair(texts, 0.8)


def test_a_text_shorter_than_a_shingle_is_not_one_that_ends_in_null() -> None:
    assert list(near_duplicates(["ab", "ab\x00", "ab\x00\x00\x00"])) == []
