"""Near-duplicates by shared five-character pieces, so that no group can leak into another one."""

from __future__ import annotations

import re
import zlib

PIECE = 5
THRESHOLD = 0.55
_BITS = 8192
_SPACE = re.compile(r"\s+")


def pieces(text: str) -> frozenset[str]:
    """Every run of five characters of the text, without case and with single spaces."""
    flat = _SPACE.sub(" ", text.lower()).strip()
    return frozenset(flat[place : place + PIECE] for place in range(max(1, len(flat) - PIECE + 1)))


def overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard index of two sets of pieces: 1 for the same text, 0 for nothing in common."""
    return len(first & second) / len(first | second)


def _sketch(text: str) -> int:
    bits = 0
    for piece in pieces(text):
        bits |= 1 << (zlib.crc32(piece.encode()) % _BITS)
    return bits


class Groups:
    """Remembers accepted groups of texts and refuses one that comes near to any of them."""

    def __init__(self) -> None:
        self._sketches: list[int] = []

    def accept(self, texts: tuple[str, ...]) -> bool:
        """True, and remembered, when no text is a near-duplicate of a text of an earlier group."""
        candidates = [_sketch(text) for text in texts]
        if any(self._is_near(candidate) for candidate in candidates):
            return False
        self._sketches.extend(candidates)
        return True

    def _is_near(self, candidate: int) -> bool:
        size = candidate.bit_count()
        for known in self._sketches:
            shared = (candidate & known).bit_count()
            if shared > THRESHOLD * (size + known.bit_count() - shared):
                return True
        return False
