# pyright: standard
"""The corpus in stretches: as many documents as fit into one buffer, tokenised, continued if asked, and cut to pieces.

Stretches follow from the texts and the request alone. An interrupted harvest makes the same ones and goes on inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from interp_lab.engine.generation import Sampling, continuations
from interp_lab.engine.pieces import Piece, cut
from interp_lab.errors import PromptTooLong
from interp_lab.jobs.run import Run
from interp_lab.models.decoder_tokens import written_tokens
from interp_lab.models.preflight import refuse_long
from interp_lab.models.tokens import TokenizedPrompt, Turn, continued, open_ended
from interp_lab.workflows.harvesting.inputs import Inputs

BUFFER_BYTES = 256 * 2**20
"""Activations of one stretch, at most, unless a single piece is larger."""
MAX_TOKENS = 65_536
_DOCUMENTS_AT_ONCE = 256


class ReadDocument(NamedTuple):
    """One document as the rows show it."""

    number: int
    """Place in the corpus, which is the number of its prompt in the store."""
    tokens: TokenizedPrompt
    """Prompt and continuation."""
    n_given: int
    """Tokens that were given; what follows the model wrote."""
    spans: tuple[tuple[int, int], ...]
    """Labelled character ranges."""
    turns: tuple[Turn, ...]
    """Messages of a conversation."""
    source: TokenizedPrompt | None = None
    """What the encoder of an encoder-decoder reads, where its decoder reads `tokens`."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive pieces that are read together; rows are their own tokens, in order."""

    number: int
    documents: tuple[ReadDocument, ...]
    pieces: tuple[Piece, ...]
    """`Piece.document` counts within `documents`."""
    start: int
    """First row in the store."""

    @property
    def n_rows(self) -> int:
        """Rows of the stretch."""
        return sum(piece.n_own for piece in self.pieces)


class Writer(NamedTuple):
    """What continues the documents of a stretch, and remembers it."""

    sampling: Sampling
    folder: Path
    run: Run


def stretches(inputs: Inputs, bytes_per_token: int, writer: Writer | None) -> Iterator[Stretch]:
    """Yield the stretches of the corpus, in order.

    Raises:
        PromptTooLong: A document leaves no room for its continuation.
    """
    limit = max(1, min(MAX_TOKENS, BUFFER_BYTES // max(1, bytes_per_token)))
    start = 0
    for number, documents in enumerate(_gathered(inputs, limit)):
        read = _continued(inputs, number, documents, writer)
        ids, special = [d.tokens.ids for d in read], [d.tokens.special for d in read]
        for pieces in _portions(cut(ids, special, inputs.rule), limit):
            stretch = Stretch(number, tuple(read), pieces, start)
            start += stretch.n_rows
            yield stretch


def _gathered(inputs: Inputs, limit: int) -> Iterator[list[ReadDocument]]:
    """Documents until their tokens reach the limit; the longest possible continuation counts."""
    reserve = inputs.request.generate.max_new_tokens if inputs.request.generate else 0
    waiting: list[ReadDocument] = []
    n_tokens = 0
    for first in range(0, len(inputs.documents), _DOCUMENTS_AT_ONCE):
        for document in _read(inputs, first, first + _DOCUMENTS_AT_ONCE):
            if waiting and n_tokens + len(document.tokens) + reserve > limit:
                yield waiting
                waiting, n_tokens = [], 0
            waiting.append(document)
            n_tokens += len(document.tokens) + reserve
    if waiting:
        yield waiting


def _read(inputs: Inputs, first: int, last: int) -> Iterator[ReadDocument]:
    """Documents `first:last` before anything is written after them."""
    whole = inputs.tokens(first, last)
    if inputs.request.decoder is not None:
        _refuse_long_sources(inputs, whole)
        for index, (source, tokens) in enumerate(zip(whole, inputs.decoder_tokens(first, last), strict=True), first):
            yield ReadDocument(index, tokens, len(tokens), spans=(), turns=(), source=source)
        return
    opens = inputs.request.generate is not None and not inputs.is_chat
    for index, (tokens, document) in enumerate(zip(whole, inputs.documents[first:last], strict=True), first):
        begun = open_ended(inputs.loaded, tokens) if opens else tokens
        turns = inputs.chats[index].turns if document.messages else ()
        yield ReadDocument(index, begun, len(begun), document.spans, turns)


def _refuse_long_sources(inputs: Inputs, sources: Sequence[TokenizedPrompt]) -> None:
    """The encoder reads a document at once: what the decoder does rests on all of it."""
    refuse_long({inputs.documents[int(s.id)].id: len(s) for s in sources}, inputs.rule.context)


def _portions(pieces: Sequence[Piece], limit: int) -> Iterator[tuple[Piece, ...]]:
    """Pieces until their tokens reach the limit: a single document may be larger than any buffer."""
    waiting: list[Piece] = []
    n_tokens = 0
    for piece in pieces:
        if waiting and n_tokens + len(piece) > limit:
            yield tuple(waiting)
            waiting, n_tokens = [], 0
        waiting.append(piece)
        n_tokens += len(piece)
    if waiting:
        yield tuple(waiting)


def _continued(inputs: Inputs, number: int, documents: list[ReadDocument], writer: Writer | None) -> list[ReadDocument]:
    if writer is None:
        return documents
    _refuse_without_room(inputs, documents, writer.sampling.max_new_tokens)
    file = written_file(writer.folder, number)
    if file.is_file():
        written = [tuple(ids) for ids in json.loads(file.read_text())]
    else:
        writer.run.progress(0, None, f"writing continuations of documents from {documents[0].number}")
        prompts = [document.source or document.tokens for document in documents]
        sampling = replace(writer.sampling, seed=(*writer.sampling.seed, number))
        written = continuations(inputs.loaded, prompts, sampling, check=writer.run.check)
        partial = file.with_name(f".{file.name}")
        partial.write_text(json.dumps(written))
        partial.replace(file)
    return [_with(inputs, document, ids) for document, ids in zip(documents, written, strict=True)]


def _with(inputs: Inputs, document: ReadDocument, ids: Sequence[int]) -> ReadDocument:
    if document.source is not None:
        return document._replace(tokens=written_tokens(inputs.loaded, document.tokens.id, ids))
    return document._replace(tokens=continued(inputs.loaded, document.tokens, ids))


def written_file(folder: Path, number: int) -> Path:
    """Return where the continuations of a gathering of documents are kept."""
    return folder / f"written-{number:06d}.json"


def _refuse_without_room(inputs: Inputs, documents: Sequence[ReadDocument], n_new: int) -> None:
    context = inputs.rule.context
    over = [f"{inputs.documents[d.number].id} ({len(d.tokens)})" for d in documents if len(d.tokens) + n_new > context]
    if over:
        raise PromptTooLong(f"No room for {n_new} more tokens in a context of {context}: {', '.join(over[:10])}.")
