from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.reports.visible import shortened, visible


@given(st.text(st.characters()))
def test_nothing_invisible_survives(text: str) -> None:
    left = {unicodedata.category(char) for char in visible(text)}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert all(char == " " for char in visible(text) if unicodedata.category(char) == "Zs")


@given(st.text(st.characters()))
def test_making_text_visible_twice_changes_nothing_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S"))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\rd", "a↵b⇥c␍d"),
        ("\u202eevil", "\\u202eevil"),
        ("\x00\x1b[31m", "\\u0000\\u001b[31m"),
        ("a\u200bb\u00a0c", "a\\u200bb\\u00a0c"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_each_hidden_character_has_a_written_form(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(1, 30))
def test_shortened_text_keeps_to_its_limit_and_says_that_it_was_cut(text: str, limit: int) -> None:
    cut = shortened(text, limit)
    assert len(cut) <= limit
    assert cut == visible(text) or cut.endswith("…")
