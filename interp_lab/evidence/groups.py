"""Which prompts are one unit of evidence: those that share a near-duplicate text, a template, a pair or a named group.

The relation is closed transitively, so a prompt that resembles two others joins them. Exact, not hashed: at a few
thousand prompts the prefix filter below leaves so few candidates that approximation would buy nothing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from interp_lab.errors import ShapeMismatch

SHINGLE = 5
"""Characters per shingle of the normalised text."""
SIMILARITY = 0.8
"""Jaccard similarity of shingle sets from which two texts are near-duplicates."""

_SHARED = 8
"""Rare shingles that a candidate pair must share: more means fewer candidates and longer prefixes."""
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"\b\d+\b")


def normalise(text: str) -> str:
    """Return the text as it is compared: characters and case folded, every whole number 0, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", _NUMBER.sub("0", folded)).strip()


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
    for a, b in near_duplicates(normal, similarity=similarity):
        forest.join(a, b)
    return forest.numbered()


def near_duplicates(texts: Sequence[str], *, similarity: float = SIMILARITY) -> Iterator[tuple[int, int]]:
    """Yield pairs of indices whose shingle sets have at least this Jaccard similarity; one index per distinct text.

    Source: prefix filtering, Bayardo, Ma and Srikant (2007), with the longer prefixes of Wang, Li and Feng (2012): two
    sets this similar share several of their rarest shingles.
    """
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    sets = {i: _shingles(text) for text, i in first.items()}
    counts = Counter(shingle for shingles in sets.values() for shingle in shingles)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(sets, key=lambda i: (len(sets[i]), i)):
        least = math.ceil(similarity * len(sets[i]))
        rare = sorted(sets[i], key=lambda s: (counts[s], s))[: len(sets[i]) - least + min(_SHARED, least)]
        shared = Counter(j for shingle in rare for j in holders[shingle])
        for j, n_shared in shared.items():
            shortest = math.ceil(similarity * len(sets[j]))
            if (
                n_shared >= min(_SHARED, shortest)
                and len(sets[j]) >= least
                and _jaccard(sets[i], sets[j]) >= similarity
            ):
                yield min(i, j), max(i, j)
        for shingle in rare:
            holders[shingle].append(i)


def _shingles(text: str) -> frozenset[str]:
    return frozenset(text[k : k + SHINGLE] for k in range(max(1, len(text) - SHINGLE + 1)))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


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
