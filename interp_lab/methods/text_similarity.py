"""Vectors of short texts by words alone, and cosines between vectors of one and the same encoder.

Lexical on purpose: no model, the same on every machine; it finds shared words and their stems, not paraphrases.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from interp_lab.errors import EncoderMismatch
from interp_lab.statistics.arrays import Matrix

WIDTH = 2048
LEXICAL = f"lexical-hash-{WIDTH}-v1"
"""Identity of the lexical encoder: words, pairs of words and character trigrams, hashed and scaled to length 1."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, eq=False)
class TextVectors:
    """Vectors of texts and the encoder that made them."""

    encoder: str
    """Identity: vectors of another one mean something else."""
    vectors: Matrix
    """`(n_texts, width)`, each of length 1 or all zero."""


def lexical_vectors(texts: Sequence[str]) -> TextVectors:
    """Return hashed vectors of texts `(n_texts, WIDTH)`."""
    vectors = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for feature, weight in _features(text):
            digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=5).digest()
            row[int.from_bytes(digest[:4]) % WIDTH] += weight if digest[4] & 1 else -weight
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return TextVectors(LEXICAL, np.divide(vectors, norms, out=vectors, where=norms > 0))


def cosines(left: TextVectors, right: TextVectors) -> Matrix:
    """Return cosines `(n_left, n_right)`.

    Raises:
        EncoderMismatch: The vectors are of different encoders.
    """
    if left.encoder != right.encoder:
        raise EncoderMismatch(f"One side is of {left.encoder[:100]}, the other of {right.encoder[:100]}.")
    return left.vectors @ right.vectors.T


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(text.casefold())
    for word in words:
        yield f"w:{word}", 1.0
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            yield f"c:{padded[start : start + 3]}", 0.4
    for first, second in pairwise(words):
        yield f"p:{first} {second}", 0.7
