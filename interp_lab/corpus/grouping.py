"""Which documents are one unit of evidence, for corpora that may be too large to compare every pair of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from interp_lab.corpus.document import Document
from interp_lab.evidence.groups import group_prompts, normalise

NEAR_DUPLICATES_MAX = 20_000
"""Documents up to which near-duplicates are searched for; the search is exact."""
NEAR_DUPLICATES_CHARACTERS = 2_000_000


class Grouping(NamedTuple):
    """The group of every document, numbered in order of first appearance, and the rule that made them, in words."""

    groups: list[int]
    rule: str


def group_documents(documents: Sequence[Document], texts: Sequence[str]) -> Grouping:
    """Return the groups; `texts` are the documents as the model reads them.

    Named groups, pairs and equal texts always belong together, near-duplicates where the search is feasible.
    """
    known = [(document.group, document.pair) for document in documents]
    named = [[group for group, _ in known], [pair for _, pair in known]]
    if len(texts) <= NEAR_DUPLICATES_MAX and sum(map(len, texts)) <= NEAR_DUPLICATES_CHARACTERS:
        return Grouping(group_prompts(texts, ids=named), "named groups, pairs, equal and near-duplicate texts")
    joined = join_equal([*named, [_mark(normalise(text)) for text in texts]])
    return Grouping(joined, "named groups, pairs and equal texts; too much text to search for near-duplicates")


def _mark(text: str) -> bytes:
    """What stands for a text where keeping every text would take too much memory."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def join_equal(columns: Sequence[Sequence[Hashable | None]]) -> list[int]:
    """Return groups of indices that share a value in some column, directly or through others; None joins nothing."""
    parent = list(range(len(columns[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in columns:
        first: dict[Hashable, int] = {}
        for i, value in enumerate(column):
            if value is not None:
                low, high = sorted((root(first.setdefault(value, i)), root(i)))
                parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(parent))]
