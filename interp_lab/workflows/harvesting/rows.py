# pyright: standard
"""The rows of a stretch as the store takes them: which token of which document each is, and its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.engine.pieces import Piece
from interp_lab.engine.token_metrics import token_class
from interp_lab.workflows.harvesting.stretches import ReadDocument, Stretch

Columns = dict[str, Any]


class RowLabel(NamedTuple):
    """A label of tokens."""

    name: str
    description: str
    values: Callable[[ReadDocument], list[str | None]]


def _classes(document: ReadDocument) -> list[str | None]:
    tokens = document.tokens
    return [token_class(piece, special=mark) for piece, mark in zip(tokens.pieces, tokens.special, strict=True)]


def _roles(document: ReadDocument) -> list[str | None]:
    """Whose turn each token stands in; None for what the template adds, and for what the model wrote."""
    roles: list[str | None] = [None] * len(document.tokens)
    for turn in document.turns if document.tokens.offsets is not None else ():
        for i in np.flatnonzero(document.tokens.covers(turn.span)):
            roles[int(i)] = turn.role
    return roles


TOKEN_CLASS = RowLabel("token_class", "special, space, word, number, punctuation or mixed", _classes)
ROLE = RowLabel("role", "role of the message that the token stands in", _roles)


def row_columns(stretch: Stretch, labels: tuple[RowLabel, ...], metrics: Mapping[str, NDArray[np.float32]]) -> Columns:
    """Return the columns of the row table for a stretch."""
    pieces = stretch.pieces
    own = [(stretch.documents[piece.document], _positions(piece)) for piece in pieces]
    columns: Columns = {
        "prompt": np.concatenate([np.full(p.n_own, d.number, np.int32) for p, (d, _) in zip(pieces, own, strict=True)]),
        "position": np.concatenate([np.arange(p.first, p.first + p.n_own, dtype=np.int32) for p in pieces]),
        "token_id": np.asarray([document.tokens.ids[i] for document, at in own for i in at], np.int32),
        "token": [document.tokens.pieces[i] for document, at in own for i in at],
        "special": [document.tokens.special[i] for document, at in own for i in at],
        "generated": [i >= document.n_given for document, at in own for i in at],
        "span": list(_in_span(stretch)),
    }
    for label in labels:
        known = [label.values(document) for document in stretch.documents]
        columns[f"label:{label.name}"] = [known[p.document][i] for p in pieces for i in _positions(p)]
    return columns | {f"metric:{name}": values for name, values in metrics.items()}


def _positions(piece: Piece) -> range:
    return range(piece.first, piece.first + piece.n_own)


def _in_span(stretch: Stretch) -> Iterator[bool]:
    marks: dict[int, tuple[bool, ...]] = {}
    for piece in stretch.pieces:
        if piece.document not in marks:
            document = stretch.documents[piece.document]
            covered = [document.tokens.covers(span) for span in document.spans]
            marks[piece.document] = tuple(map(any, zip(*covered, strict=True))) if covered else ()
        inside = marks[piece.document]
        yield from (bool(inside) and inside[i] for i in _positions(piece))
