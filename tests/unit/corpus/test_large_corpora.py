"""Corpora of any size: read as they are needed, cut as if they had been read whole, and never all in memory."""

from __future__ import annotations

import gc
import io
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from pydantic import TypeAdapter

from interp_lab.contracts.corpora import CorpusArgument
from interp_lab.corpus import spool, text_files
from interp_lab.corpus.corpora import glance, open_corpus
from interp_lab.corpus.document import Document, Message
from interp_lab.corpus.spool import Spool
from interp_lab.errors import InvalidDocuments
from interp_lab.settings import Settings

ARGUMENT = TypeAdapter(CorpusArgument)
BYTES_PER_DOCUMENT = 200
"""Where a document lies and the hash of its id."""


def cut_whole(data: bytes, unit: str) -> list[str]:
    """The documents of a text that is read at once."""
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    if unit == "file":
        return [text]
    if unit == "line":
        return text.splitlines()
    return [part.strip("\n") for part in re.split(r"\n[ \t\r\f\v]*\n\s*", text)]


@trials(max_examples=300)
@given(
    st.text(alphabet="aé\n\r \t\x0b\u2028\u00a0", max_size=40),
    st.sampled_from(["paragraph", "line", "file"]),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_text_that_is_read_in_pieces_is_cut_like_one_that_is_read_whole(
    text: str, unit: str, chunk: int, mark: bool
) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "CHUNK_BYTES", chunk)
        pieces = list(text_files._cut(text_files._Characters(io.BytesIO(data), "t"), unit))  # type: ignore[arg-type]
    assert [piece for piece, _ in pieces] == cut_whole(data, unit)
    shares = [share for _, share in pieces]
    assert shares == sorted(shares)
    assert not shares or shares[-1] == 1.0


@given(
    st.lists(
        st.builds(
            Document,
            id=st.text(max_size=5),
            text=st.text(alphabet="aé\n", max_size=20),
            messages=st.lists(st.builds(Message, st.just("user"), st.text(max_size=5)), max_size=2).map(tuple),
            spans=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple),
            score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            labels=st.dictionaries(
                st.text(max_size=3), st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
            ),
        ),
        max_size=5,
    ),
    st.sampled_from([0, 10**6]),
)
def test_documents_come_back_as_they_were_from_memory_and_from_the_disk(documents: list[Document], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "MEMORY_BYTES", limit)
        kept = Spool(None)
        for document in documents:
            kept.append(document)
    assert kept.on_disk == (limit == 0 and len(documents) > 0)
    assert list(kept) == documents
    assert [list(document.labels) for document in kept] == [list(document.labels) for document in documents]
    assert kept[1:3] == tuple(documents[1:3])
    plain = Spool(None)
    for document in documents:
        plain.append(document)
    assert plain.sha256 == kept.sha256


def test_a_table_may_have_more_rows_than_a_prompt_set(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text("".join(f'{{"text": "text {row}"}}\n' for row in range(10_050)))
    (tmp_path / "many.txt").write_text("".join(f"text {row}\n" for row in range(10_050)))
    settings = Settings(workspace=tmp_path)
    assert len(open_corpus(ARGUMENT.validate_python("many.jsonl"), settings).documents) == 10_050
    lines = ARGUMENT.validate_python({"kind": "text", "path": "many.txt", "unit": "line"})
    assert len(open_corpus(lines, settings).documents) == 10_050


def test_an_id_that_comes_twice_is_named_however_far_apart(tmp_path: Path) -> None:
    rows = [f'{{"id": "d{row % 3000}", "text": "text {row}"}}\n' for row in range(3001)]
    (tmp_path / "many.jsonl").write_text("".join(rows))
    with pytest.raises(InvalidDocuments, match="'d0'"):
        open_corpus(ARGUMENT.validate_python("many.jsonl"), Settings(workspace=tmp_path))


@pytest.mark.parametrize("name", ["many.jsonl", "many.txt"])
def test_what_a_corpus_holds_in_memory_does_not_grow_with_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 1000)
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 1000)

    def peak(n_documents: int) -> int:
        text = "x" * 500
        line = '{{"text": "{} {}"}}\n' if name.endswith("jsonl") else "{} {}\n\n"
        (tmp_path / name).write_text("".join(line.format(text, row) for row in range(n_documents)))
        gc.collect()
        tracemalloc.start()
        try:
            corpus = open_corpus(ARGUMENT.validate_python(name), Settings(workspace=tmp_path))
            assert sum(len(document.text) for document in corpus.documents) > n_documents * len(text)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(1000), peak(3000)
    assert many - few <= 2000 * BYTES_PER_DOCUMENT


def test_a_glance_at_a_large_text_reads_its_beginning_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "CHUNK_BYTES", 1000)
    (tmp_path / "long.txt").write_bytes(b"".join(b"word " * 10 + b"\n\n" for _ in range(200)) + b"\xff")
    seen = glance(ARGUMENT.validate_python("long.txt"), Settings(workspace=tmp_path), max_characters=2000)
    assert len(seen.documents) == 40
    assert seen.share == pytest.approx(0.2, abs=0.05)
