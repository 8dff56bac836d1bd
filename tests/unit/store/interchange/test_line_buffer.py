"""Lines found in memory that is used again are those of the file, and the hash is that of every byte."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import FileTooLarge
from interp_lab.store.interchange import line_buffer
from interp_lab.store.interchange.line_buffer import HashedLines
from interp_lab.store.interchange.lines import numbered_lines


@given(data=st.lists(st.sampled_from([b"a", b"bc", b" ", b"\t", b"\r\n", b"\n", b"x" * 9])), chunk=st.integers(1, 8))
def test_lines_and_hash_are_those_of_the_file_however_it_falls_into_pieces(data: list[bytes], chunk: int) -> None:
    whole = b"".join(data)
    found = HashedLines(io.BytesIO(whole), where="f", chunk_bytes=chunk)
    lines = [(line.number, line.data) for line in found.lines()]
    assert lines == list(numbered_lines(io.BytesIO(whole), where="f"))
    assert found.sha256 == hashlib.sha256(whole).hexdigest()


def test_one_byte_that_differs_gives_another_hash() -> None:
    both = [HashedLines(io.BytesIO(b"one\ntwo\n" + last), where="f", chunk_bytes=3) for last in (b" ", b"\t")]
    assert [[line.data for line in each.lines()] for each in both] == [[b"one\n", b"two\n"]] * 2
    assert both[0].sha256 != both[1].sha256


def test_lines_read_again_are_read_from_the_start() -> None:
    found = HashedLines(io.BytesIO(b"one\ntwo"), where="f")
    first, again = ([(line.number, line.data) for line in found.lines()] for _ in range(2))
    assert first == again == [(1, b"one\n"), (2, b"two")]
    assert found.sha256 == hashlib.sha256(b"one\ntwo").hexdigest()


@pytest.mark.parametrize("data", [b"ok\n123456789", b"ok\n123456789\nok\n", b"ok\n" + b" " * 40 + b"\n"])
@pytest.mark.parametrize("chunk", [2, 64])
def test_a_line_that_is_too_long_is_named(data: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_buffer, "MAX_LINE_BYTES", 8)
    with pytest.raises(FileTooLarge, match="Line 2 of f has more than 8 bytes"):
        [line.data for line in HashedLines(io.BytesIO(data), where="f", chunk_bytes=chunk).lines()]
