from __future__ import annotations

import json
import re
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interp_lab_server.sanitize import clean, clean_text, compact, one_line

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


@given(ANY_TEXT)
def test_cleaned_text_is_utf8_and_holds_nothing_harmful(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert not HARMFUL.search(cleaned)


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u202a")))
def test_text_that_harms_nothing_is_left_alone(text: str) -> None:
    assert clean_text(text) == text


def test_an_escape_shows_what_was_there() -> None:
    assert clean_text("\x1b[31mred \u202e \ud83d \x7f \U000e0041") == (
        "\\u001b[31mred \\u202e \\ud83d \\u007f \\udb40\\udc41"
    )
    assert clean_text("a\r\nb\tc") == "a\nb\tc"


@given(st.dictionaries(st.text(), st.text(st.characters(exclude_categories=["Cs", "Cc"]))))
def test_json_text_stays_the_same_json_when_cleaned(value: dict[str, str]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(clean_text(text)) == value


@given(ANY_JSON)
def test_every_value_becomes_json_that_strict_readers_accept(value: object) -> None:
    text = compact(clean(value))
    text.encode("utf-8")
    json.loads(text, parse_constant=pytest_fail)


def pytest_fail(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def test_numbers_that_are_none_become_words() -> None:
    assert clean([float("nan"), float("inf"), -np.inf, 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]


def test_scalars_and_arrays_of_other_libraries_are_unwrapped() -> None:
    value = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(1), "d": np.arange(3), 4: {5}}
    assert clean(value) == {"a": 0.5, "b": 3, "c": True, "d": [0, 1, 2], "4": [5]}


def test_what_holds_itself_is_cut_off_not_followed_for_ever() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "nested too deeply" in compact(clean(loop))


@given(ANY_TEXT, st.integers(1, 50))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert all(unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in line)
