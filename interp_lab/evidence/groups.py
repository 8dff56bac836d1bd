"""Which prompts are one unit of evidence: those that share a near-duplicate text, a template, a pair or a named group.

The relation is closed transitively, so a prompt that resembles two others joins them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Sequence

from interp_lab.errors import ShapeMismatch
from interp_lab.evidence.few_duplicates import SIMILARITY, few_duplicates

FEW = 512
"""Texts up to which numpy and scipy are not worth loading."""
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"\b\d+\b")


def normalise(text: str) -> str:
    """Return the text as it is compared: characters and case folded, every whole number 0, single spaces."""
    return _NUMBER.sub("0", folded(text))


def folded(text: str) -> str:
    """Return the text by which two are the same text: characters and case folded, single spaces, numbers as they are.

    Two that differ in a number alone are near-duplicates and share a group, but they say different things: a date and
    a part number may be the very contrast that a set is about.
    """
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def group_prompts(
    texts: Sequence[str],
    *,
    ids: Sequence[Sequence[Hashable | None]] = (),
    similarity: float = SIMILARITY,
) -> list[int]:
    """Return the group of every prompt, numbered in order of first appearance.

    `ids` holds any number of sequences, one value per prompt: template, pair or group ids. Equal ids join, None joins
    nothing.

    Raises:
        ShapeMismatch: a sequence of ids does not have one value per prompt.
    """
    forest = _Forest(len(texts))
    for column in ids:
        if len(column) != len(texts):
            raise ShapeMismatch(f"Expected {len(texts)} ids, got {len(column)}.")
        forest.join_equal((value for value in column), skip_none=True)
    normal = [normalise(text) for text in texts]
    forest.join_equal(normal, skip_none=False)
    for a, b in _similar(normal, similarity):
        forest.join(a, b)
    return forest.numbered()


def _similar(texts: Sequence[str], similarity: float) -> Iterator[tuple[int, int]]:
    if len(texts) <= FEW:
        return few_duplicates(texts, similarity=similarity)
    from interp_lab.evidence.near_duplicates import near_duplicates  # lazy: scipy, which small sets do without

    return near_duplicates(texts, similarity=similarity)


class _Forest:
    """Union-find over the prompts; the smaller index is always the root."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low

    def join_equal(self, values: Iterable[Hashable | None], *, skip_none: bool) -> None:
        seen: dict[Hashable, int] = {}
        for i, value in enumerate(values):
            if value is not None or not skip_none:
                self.join(seen.setdefault(value, i), i)

    def numbered(self) -> list[int]:
        number: dict[int, int] = {}
        return [number.setdefault(self.root(i), len(number)) for i in range(len(self._parent))]
