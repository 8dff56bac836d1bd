"""JSON from outside: what is strict comes back as it was, everything else is refused in words."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.artifacts.canonical import canonical_json, readable_json
from interp_lab.artifacts.reading import parse_json, read_json, read_json_lines
from interp_lab.errors import FileTooLarge, InvalidRequest, MalformedFile

text = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_canonical_and_readable_json_read_back_as_the_same_value(value: object) -> None:
    assert parse_json(canonical_json(value)) == value
    assert parse_json(readable_json(value)) == value


@given(st.dictionaries(text, values, max_size=5), st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, object], rng: object) -> None:
    items = list(value.items())
    rng.shuffle(items)  # type: ignore[attr-defined]
    assert canonical_json(dict(items)) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": "\ud800"}, {1, 2}, object(), b"x"])
def test_what_is_not_json_is_not_written(value: object) -> None:
    with pytest.raises(InvalidRequest):
        canonical_json(value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"{", "line 1"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b'{"a": 1, "b": 2, "a": 3}', "repeats the key 'a'"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 50_000, "nested"),
        (b"[" * 101 + b"]" * 101, "nested"),
        (b"1" * 5000, "digits"),
        (b"[0.5, " + b"1" * 401 + b"]", "400 digits"),
        (b'{"a": [true, {"b": ["x", -1e999]}]}', "too large"),
        (b'[[], {"a": {"\\ud83d": null}}]', "surrogate"),
        (b"[1] [2]", "not JSON"),
    ],
)
def test_poisoned_json_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        parse_json(data)


def test_a_byte_order_mark_and_deep_but_sane_nesting_are_accepted() -> None:
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]
    assert parse_json(b"[" * 100 + b"]" * 100) is not None
    assert parse_json(b"[1e308, 1e308, " + b"9" * 400 + b"]") == [1e308, 1e308, int("9" * 400)]
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_file_over_its_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(FileTooLarge, match="more than 5 bytes"):
        read_json(io.BytesIO(b"[1, 2]"), max_bytes=5)
    assert read_json(io.BytesIO(b"[1, 2]"), max_bytes=6) == [1, 2]


def test_lines_are_read_one_by_one_and_a_bad_one_is_named() -> None:
    lines = b'{"a": 1}\n\n  \n[2]\r\n"last"'
    assert list(read_json_lines(io.BytesIO(lines))) == [{"a": 1}, [2], "last"]
    with pytest.raises(MalformedFile, match="line 3"):
        list(read_json_lines(io.BytesIO(b"1\n2\nx\n")))


def test_a_row_bomb_is_refused_without_holding_it() -> None:
    with pytest.raises(FileTooLarge, match="Line 2"):
        list(read_json_lines(io.BytesIO(b'1\n"' + b"x" * 100 + b'"\n'), max_line_bytes=50))
    with pytest.raises(FileTooLarge, match="more than 3 lines"):
        list(read_json_lines(io.BytesIO(b"1\n" * 4), max_lines=3))


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        value = parse_json(data)
    except MalformedFile:
        return
    assert value == json.loads(data.decode("utf-8-sig"))
