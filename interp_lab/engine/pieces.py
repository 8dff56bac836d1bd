"""Documents cut to what a model reads at once: which tokens each piece holds, and which of them are only context.

Every token of a document belongs to exactly one piece as a token of its own; where pieces overlap, the earlier tokens
are read again as context and counted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp_lab.errors import InvalidRequest

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one document that goes through the model at once."""

    document: int
    """Place of the document in the sequence that was cut."""
    ids: Ids
    """Everything the model reads, context included."""
    lead: int
    """Tokens at the beginning that are context only."""
    n_own: int
    """Tokens after `lead` that are this piece's own; what is left after them is context again."""
    first: int
    """Position in the document of the first own token."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def own(self) -> slice:
        """The own tokens, within the piece."""
        return slice(self.lead, self.lead + self.n_own)


@dataclass(frozen=True, slots=True)
class CutRule:
    """How documents that are longer than `context` are cut. Shorter ones are never touched."""

    context: int
    """Tokens that go through the model at once."""
    overlap: int = 0
    """Tokens before each further piece that it reads again as context."""

    def __post_init__(self) -> None:
        if self.context < 1 or not 0 <= self.overlap < self.context:
            raise InvalidRequest(f"An overlap of {self.overlap} tokens does not fit a context of {self.context}.")

    def in_words(self) -> str:
        """Return the rule as a record says it."""
        return (
            f"documents over {self.context} tokens are cut into windows of {self.context}; each further window begins "
            f"with the document's opening special tokens and the {self.overlap} tokens before it as context"
        )


def cut(documents: Sequence[Ids], special: Sequence[Sequence[bool]], rule: CutRule) -> tuple[Piece, ...]:
    """Return the pieces of all documents, in order; special tokens at either end of a document frame each piece.

    Raises:
        InvalidRequest: The special tokens and the overlap leave no room for text.
    """
    return tuple(
        piece
        for index, (ids, marks) in enumerate(zip(documents, special, strict=True))
        for piece in _cut_one(index, ids, marks, rule)
    )


def _cut_one(document: int, ids: Ids, special: Sequence[bool], rule: CutRule) -> list[Piece]:
    if len(ids) <= rule.context:
        return [Piece(document, ids, 0, len(ids), 0)]
    opening, closing = _run(special), _run(special[::-1])
    head, tail = ids[:opening], ids[len(ids) - closing :]
    text = ids[opening : len(ids) - closing]
    window = rule.context - opening - closing
    step = window - rule.overlap
    if step < 1:
        raise InvalidRequest(
            f"A context of {rule.context} tokens leaves no room: {opening + closing} special tokens and an overlap of "
            f"{rule.overlap}."
        )
    pieces: list[Piece] = []
    begin = 0
    while True:
        end = min(begin + window, len(text))
        is_first, is_last = begin == 0, end == len(text)
        lead = 0 if is_first else opening + rule.overlap
        n_own = (opening if is_first else -rule.overlap) + end - begin + (closing if is_last else 0)
        first = 0 if is_first else opening + begin + rule.overlap
        pieces.append(Piece(document, head + text[begin:end] + tail, lead, n_own, first))
        if is_last:
            return pieces
        begin += step


def _run(marks: Sequence[bool]) -> int:
    """How many are true before the first that is not."""
    return next((i for i, mark in enumerate(marks) if not mark), len(marks))
