"""Which of a few hundred texts are near-duplicates, without numpy: what a server asks while a caller waits.

The same pairs as `near_duplicates`, which is for thousands.

Source: prefix filtering, Bayardo, Ma and Srikant (2007), with the longer prefixes of Wang, Li and Feng (2012): two
sets this similar share several of their rarest shingles.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

SHINGLE = 5
"""Characters per shingle of the normalised text."""
SIMILARITY = 0.8
"""Jaccard similarity of shingle sets from which two texts are near-duplicates."""
SHARED = 8
"""Rare shingles that a candidate pair must share: more means fewer candidates and longer prefixes."""


def few_duplicates(texts: Sequence[str], *, similarity: float = SIMILARITY) -> Iterator[tuple[int, int]]:
    """Yield pairs of indices whose shingle sets have at least this Jaccard similarity; one index per distinct text."""
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    sets = {i: _shingles(text) for text, i in first.items()}
    counts = Counter(shingle for shingles in sets.values() for shingle in shingles)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(sets, key=lambda i: (len(sets[i]), i)):
        least = math.ceil(similarity * len(sets[i]))
        rare = sorted(sets[i], key=lambda s: (counts[s], s))[: len(sets[i]) - least + min(SHARED, least)]
        shared = Counter(j for shingle in rare for j in holders[shingle])
        for j, n_shared in shared.items():
            needed = min(SHARED, math.ceil(similarity * len(sets[j])))
            if n_shared >= needed and len(sets[j]) >= least and _jaccard(sets[i], sets[j]) >= similarity:
                yield min(i, j), max(i, j)
        for shingle in rare:
            holders[shingle].append(i)


def _shingles(text: str) -> frozenset[str]:
    return frozenset(text[k : k + SHINGLE] for k in range(max(1, len(text) - SHINGLE + 1)))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
