"""Which texts are near-duplicates: exactly the pairs of a given similarity, found through an inverted index.

Two sets this similar share several of their rarest shingles, so only texts that do are compared. Index and comparison
are products of sparse matrices, because near-copies of one template make nearly every pair a candidate.

Source: prefix filtering, Bayardo, Ma and Srikant (2007), with the longer prefixes of Wang, Li and Feng (2012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.evidence.few_duplicates import SHARED, SHINGLE, SIMILARITY

_CELLS = 1 << 24
"""Pairs of texts that are looked at at once, which bounds memory."""
_PAIRS = 1 << 17
"""Candidates that are compared one by one at once."""
_CROWDED = 1 / 16
"""Share of candidates among pairs from which comparing all pairs of a block is cheaper."""

Ints = NDArray[np.int64]


class _Sets(NamedTuple):
    """Shingle sets of texts, smallest first."""

    texts: Ints
    """Number of the text that each row stands for."""
    sizes: Ints
    whole: Any
    """Sparse `(texts, shingles)`, 1 where a text has a shingle; the rarest shingle is column 0."""


def near_duplicates(texts: Sequence[str], *, similarity: float = SIMILARITY) -> Iterator[tuple[int, int]]:
    """Yield pairs of indices whose shingle sets have at least this Jaccard similarity; one index per distinct text."""
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    if len(first) < 2:
        return
    sets = _sets(list(first), np.array(list(first.values()), np.int64))
    least = np.ceil(similarity * sets.sizes).astype(np.int64)
    prefixes = _prefixes(sets, sets.sizes - least + np.minimum(SHARED, least))
    lows: Ints = np.searchsorted(sets.sizes, least)  # smaller sets cannot be that similar
    n = len(sets.sizes)
    step = max(1, _CELLS // n)
    for start in range(0, n, step):
        stop = min(n, start + step)
        low = int(lows[start])
        counts: Any = (prefixes[start:stop] @ prefixes[low:stop].T).tocoo()
        left, right = counts.row.astype(np.int64) + start, counts.col.astype(np.int64) + low
        kept = (right < left) & (sets.sizes[right] >= least[left])
        kept &= counts.data >= np.minimum(SHARED, least[right])
        left, right = left[kept], right[kept]
        shared = _shared(sets.whole, left, right, (start, stop, low))
        union = sets.sizes[left] + sets.sizes[right] - shared
        similar = shared / union >= similarity
        pairs = np.sort(np.stack([sets.texts[left[similar]], sets.texts[right[similar]]], 1), 1)
        yield from ((int(a), int(b)) for a, b in pairs)


def _shared(whole: Any, left: Ints, right: Ints, block: tuple[int, int, int]) -> Ints:
    """Return how many shingles each pair shares."""
    start, stop, low = block
    if len(left) > _CROWDED * (stop - start) * (stop - low):
        counts: Any = (whole[start:stop] @ whole[low:stop].T).toarray()
        return counts[left - start, right - low].astype(np.int64)
    found = np.empty(len(left), np.int64)
    for begin in range(0, len(left), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        found[part] = np.asarray(whole[left[part]].multiply(whole[right[part]]).sum(1)).reshape(-1)
    return found


def _sets(texts: Sequence[str], numbers: Ints) -> _Sets:
    owners, codes = _shingles(texts)
    _, shingles = np.unique(codes, return_inverse=True)
    n_shingles = int(shingles.max()) + 1
    owners, shingles = np.divmod(np.unique(owners * n_shingles + shingles), n_shingles)
    counts = np.bincount(shingles)
    rarity = np.empty(n_shingles, np.int64)
    rarity[np.argsort(counts, kind="stable")] = np.arange(n_shingles)
    sizes = np.bincount(owners, minlength=len(texts))
    by_size = np.lexsort((numbers, sizes))
    place = np.empty(len(texts), np.int64)
    place[by_size] = np.arange(len(texts))
    # sorted by row, and in it by rarity, so that the first entries of a row are its rarest shingles
    rows, columns = np.divmod(np.sort(place[owners] * n_shingles + rarity[shingles]), n_shingles)
    return _Sets(numbers[by_size], sizes[by_size], _matrix(rows, columns, (len(texts), n_shingles)))


def _prefixes(sets: _Sets, lengths: Ints) -> Any:
    """Return the rarest shingles of every text, so many of each."""
    rows = np.repeat(np.arange(len(sets.sizes)), sets.sizes)
    kept = np.arange(len(rows)) - np.asarray(sets.whole.indptr)[rows] < lengths[rows]
    return _matrix(rows[kept], sets.whole.indices[kept], sets.whole.shape)


def _matrix(rows: Ints, columns: Ints, shape: tuple[int, int]) -> Any:
    from scipy import sparse  # lazy: a quarter of a second that most processes need not spend  # pyright: ignore

    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    ones = np.ones(len(rows), np.int32)
    matrix: Any = sparse.csr_matrix((ones, columns, starts), shape=shape)  # pyright: ignore
    return matrix


def _shingles(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Return owner and code of every shingle; a text shorter than a shingle is one, filled up with a 0 of no text."""
    lengths = np.array([len(text) for text in texts], np.int64)
    padded = np.maximum(lengths, SHINGLE)
    starts = np.cumsum(padded) - padded
    alphabet, ranks = np.unique(
        np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32), return_inverse=True
    )
    letters = np.zeros(int(padded.sum()), np.int64)
    offsets = np.arange(len(ranks)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    letters[np.repeat(starts, lengths) + offsets] = ranks + 1
    base = len(alphabet) + 1
    codes, largest = letters[: len(letters) - SHINGLE + 1], base
    for k in range(1, SHINGLE):
        if largest > 2**62 // base:  # an alphabet of thousands: number what there is, so that no code is cut
            codes = np.unique(codes, return_inverse=True)[1]
            largest = int(codes.max()) + 1
        codes = codes * base + letters[k : len(letters) - SHINGLE + 1 + k]
        largest *= base
    owners = np.repeat(np.arange(len(texts)), padded)[: len(codes)]
    inside = np.arange(len(codes)) - starts[owners] <= padded[owners] - SHINGLE
    return owners[inside], codes[inside]
