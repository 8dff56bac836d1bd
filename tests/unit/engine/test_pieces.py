from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.engine.pieces import CutRule, cut
from interp_lab.errors import InvalidRequest

FRAMES = st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 1))


def document(frame: tuple[int, int, int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    opening, text, closing = frame
    ids = tuple(range(1000, 1000 + opening)) + tuple(range(text)) + tuple(range(2000, 2000 + closing))
    return ids, (True,) * opening + (False,) * text + (True,) * closing


@given(st.lists(FRAMES, max_size=4), st.integers(6, 30), st.integers(0, 2))
def test_every_token_belongs_to_one_piece_and_no_piece_exceeds_the_context(frames, context: int, overlap: int) -> None:
    documents = [document(frame) for frame in frames]
    pieces = cut([ids for ids, _ in documents], [marks for _, marks in documents], CutRule(context, overlap))
    for number, (ids, _) in enumerate(documents):
        own = [piece for piece in pieces if piece.document == number]
        assert [i for piece in own for i in range(piece.first, piece.first + piece.n_own)] == list(range(len(ids)))
        assert all(piece.ids[piece.own] == ids[piece.first : piece.first + piece.n_own] for piece in own)
    assert all(len(piece) <= context for piece in pieces)


def test_further_windows_read_the_opening_and_the_overlap_again() -> None:
    ids, marks = document((1, 10, 1))
    pieces = cut([ids], [marks], CutRule(6, 1))
    assert [piece.ids for piece in pieces] == [
        (1000, 0, 1, 2, 3, 2000),
        (1000, 3, 4, 5, 6, 2000),
        (1000, 6, 7, 8, 9, 2000),
    ]
    assert [(piece.first, piece.lead, piece.n_own) for piece in pieces] == [(0, 0, 5), (5, 2, 3), (8, 2, 4)]


def test_a_document_that_fits_is_left_whole() -> None:
    ids, marks = document((1, 4, 1))
    assert [piece.ids for piece in cut([ids], [marks], CutRule(6, 3))] == [ids]


@pytest.mark.parametrize(("context", "overlap"), [(4, 4), (0, 0), (4, -1)])
def test_a_window_must_be_larger_than_its_overlap(context: int, overlap: int) -> None:
    with pytest.raises(InvalidRequest, match="does not fit"):
        CutRule(context, overlap)


def test_a_window_that_special_tokens_fill_is_refused() -> None:
    ids, marks = document((2, 9, 1))
    with pytest.raises(InvalidRequest, match="leaves no room"):
        cut([ids], [marks], CutRule(4, 1))
