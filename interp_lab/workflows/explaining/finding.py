"""Latents by what was said of them: explanations whose words are like those asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.contracts.features import ExplanationSearch, SearchFeaturesRequest
from interp_lab.errors import InvalidRequest
from interp_lab.methods.text_similarity import LEXICAL, cosines, lexical_vectors
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Matrix
from interp_lab.workflows.explaining.records import in_words, latest
from interp_lab.workflows.explaining.vectors import KnownVectors
from interp_lab.workflows.features.hits import BEST, Hits
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.weights import open_dictionary
from interp_lab.workflows.paging import Row

_HEADERS = (
    ("feature", "COLUMN#UNIT"),
    ("similarity", "cosine, of the words or as the encoder has it"),
    ("explanation", "what was said of it, with its blind scores"),
    ("dictionary", "artifact id or content hash of its dictionary"),
)


def find_by_explanation(
    request: SearchFeaturesRequest, by: ExplanationSearch, known: Iterable[ExplanationRecord], settings: Settings
) -> Hits:
    """Return explanations by likeness; errors of the dictionaries that the request names."""
    records = [record for record in latest(known) if not request.columns or _column(record) in request.columns]
    if request.dictionaries:
        hashes = {open_dictionary(name, settings).content_hash for name in request.dictionaries}
        wanted = hashes | set(request.dictionaries)
        records = [record for record in records if wanted & set(record.dictionaries)]
    n_before = len(records)
    records, like, encoder = _compared(by, records, settings)
    order = [int(place) for place in np.argsort(-like, kind="stable")[:BEST] if by.vectors or like[place] > 0]

    def make(start: int, stop: int) -> Sequence[Row]:
        return [_row(records[place], float(like[place])) for place in order[start:stop]]

    how = "are ordered by likeness to" if by.vectors else "share words with"
    facts: dict[str, Any] = {"encoder": encoder}
    if by.vectors and records:
        facts["median_similarity"] = rounded(float(np.median(like)))  # of an encoder, unrelated texts are alike too
    return Hits(
        headers=_HEADERS,
        total=len(order),
        make=make,
        searched=len(records),
        found=f"{len(order)} of {len(records)} explanations {how} {by.words[:80]!r}",
        facts=facts,
        warnings=_left_out(n_before - len(records)),
        actions=lambda row: _show(request, row),
    )


def _compared(
    by: ExplanationSearch, records: list[ExplanationRecord], settings: Settings
) -> tuple[list[ExplanationRecord], Matrix, str]:
    """Return the explanations that can be compared, their likeness to the words, and by which encoder.

    Raises:
        InvalidRequest: The words are not among the vectors.
        EncoderMismatch: The vectors are of different encoders.
    """
    if not by.vectors:
        like = cosines(lexical_vectors([by.words]), lexical_vectors([record.text for record in records]))[0]
        return records, like, LEXICAL
    known = KnownVectors(by.vectors, settings)
    words = by.words.strip()
    if not known.has(words):
        raise InvalidRequest(
            f"{words[:80]!r} is not among these vectors.",
            remedy="Call embed_explanations with these words and the same encoder, and name its artifact too.",
        )
    there = [record for record in records if known.has(record.text)]
    like = cosines(known.of([words]), known.of([record.text for record in there]))[0]
    return there, like, known.encoder


def _left_out(n: int) -> tuple[str, ...]:
    return (f"Explanations without a vector, not searched: {n}; call embed_explanations again.",) if n else ()


def _row(record: ExplanationRecord, like: float) -> Row:
    return record.feature, rounded(like), in_words(record), record.dictionaries[0]


def _column(record: ExplanationRecord) -> str:
    return record.feature.rpartition("#")[0]


def _show(request: SearchFeaturesRequest, row: Row) -> tuple[NextAction, ...]:
    """Return the card of the first latent, where the request says which dictionary or store is meant."""
    unit = int(str(row[0]).rpartition("#")[2])
    if len(request.dictionaries) != 1:
        return ()
    arguments: dict[str, Any] = {"dictionary": request.dictionaries[0], "unit": unit}
    return (NextAction(tool="show_feature", arguments=arguments, why="Look at the first latent from all sides."),)
