# pyright: standard
"""Vectors of texts as artifacts: rows known by the hash of their text, and never of two encoders together. No torch."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import ArtifactWriter
from interp_lab.contracts.embed_explanations import TEXTS_FILE, VECTORS_FILE, VECTORS_KIND, StoredTexts
from interp_lab.contracts.explain import EXPLANATION_KIND, EXPLANATIONS_FILE, ExplanationRecord
from interp_lab.errors import ArtifactCorrupt, EncoderMismatch
from interp_lab.methods.text_similarity import TextVectors
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.records import read_records
from interp_lab.workflows.memory.history import manifests

_MAX_BYTES = 256 * 2**20


def key_of(text: str) -> str:
    """Return what a row of vectors is known by: the hash of its text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def all_explanations(settings: Settings) -> Iterator[ExplanationRecord]:
    """Yield every explanation of a workspace."""
    store = ArtifactStore(WorkspacePaths.of(settings))
    for manifest in manifests(settings):
        if manifest.kind == EXPLANATION_KIND:
            yield from read_records(store.read_file(manifest.id, EXPLANATIONS_FILE, limit=_MAX_BYTES))


def write_vectors(files: ArtifactWriter, texts: Sequence[str], made: TextVectors) -> None:
    """Write the vectors of texts, in their order."""
    data = io.BytesIO()
    np.save(data, made.vectors.astype(np.float32), allow_pickle=False)
    files.write_bytes(VECTORS_FILE, data.getvalue())
    stored = StoredTexts(encoder=made.encoder, texts=tuple(key_of(text) for text in texts))
    files.write_json(TEXTS_FILE, stored.model_dump(mode="json"))


class KnownVectors:
    """The vectors of some artifacts, all of one encoder."""

    def __init__(self, artifacts: Sequence[str], settings: Settings) -> None:
        """Read them.

        Raises:
            EncoderMismatch: They are of different encoders.
            InvalidRequest: An artifact holds no vectors.
            UnknownArtifact, ArtifactCorrupt: There is nothing to be read.
        """
        read = [_read(artifact, settings) for artifact in artifacts]
        self.encoder = read[0][0].encoder
        self._rows: dict[str, np.ndarray] = {}
        for stored, vectors in read:
            if stored.encoder != self.encoder:
                raise EncoderMismatch(
                    f"Vectors of {self.encoder[:120]} and of {stored.encoder[:120]} are never compared."
                )
            self._rows |= dict(zip(stored.texts, vectors, strict=True))

    def has(self, text: str) -> bool:
        """Return whether a text was embedded."""
        return key_of(text) in self._rows

    def of(self, texts: Sequence[str]) -> TextVectors:
        """Return the vectors of texts that were embedded."""
        rows = [self._rows[key_of(text)] for text in texts]
        width = next(iter(self._rows.values())).size
        return TextVectors(self.encoder, np.stack(rows) if rows else np.empty((0, width), np.float32))


def _read(artifact: str, settings: Settings) -> tuple[StoredTexts, np.ndarray]:
    store = ArtifactStore(WorkspacePaths.of(settings))
    store.open_as(artifact, VECTORS_KIND)
    try:
        stored = StoredTexts.model_validate_json(store.read_file(artifact, TEXTS_FILE, limit=_MAX_BYTES))
        data = io.BytesIO(store.read_file(artifact, VECTORS_FILE, limit=_MAX_BYTES))
        vectors = np.load(data, allow_pickle=False)
    except (ValidationError, ValueError) as error:
        raise ArtifactCorrupt(f"Artifact {artifact} does not hold what its kind promises.") from error
    if vectors.ndim != 2 or len(vectors) != len(stored.texts) or not np.isfinite(vectors).all():
        raise ArtifactCorrupt(f"Artifact {artifact} does not have one vector for each text.")
    return stored, vectors
