"""The codes of scattered rows in one go, where a `CodeReader` reads runs of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp_lab.store.code_files import CodeShard
from interp_lab.store.codes import CodeReader
from interp_lab.store.reader import ActivationStore

_Rows = NDArray[np.integer[Any]]
_RUN = 8
"""Mean length from which runs are copied as they lie; shorter ones are picked entry by entry."""
_PIECES = 256
_ENTRIES_AT_ONCE = 1 << 22
_ROWS_AT_ONCE = 1 << 16


class RowGather:
    """Counts over some rows of one code column; its files stay mapped."""

    def __init__(self, store: ActivationStore, key: str) -> None:
        self._codes: CodeReader = store.codes(key)
        self._shards = [
            (shard.start, CodeShard(store.path_of(shard.columns[key].name), self._codes.column, shard.n_rows))
            for shard in store.manifest.shards
        ]

    def counts(self, rows: _Rows) -> NDArray[np.int64]:
        """Return in how many of some ascending rows each latent is active `(width,)`."""
        total = np.zeros(self._codes.width, np.int64)
        ends = [start for start, _ in self._shards[1:]] + [self._codes.n_rows]
        bounds = np.searchsorted(rows, ends)
        first = 0
        for (start, shard), last in zip(self._shards, bounds.tolist(), strict=True):
            if last > first:
                total += _counts(shard, rows[first:last].astype(np.int64) - start, self._codes.width)
            first = last
        return total


def _counts(shard: CodeShard, rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Count within one shard, a bounded number of entries at a time."""
    total = np.zeros(width, np.int64)
    for latents in _latents(shard, rows):
        total += np.bincount(latents, minlength=width)
    return total


def _latents(shard: CodeShard, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
    """Yield the latents of the rows, whole rows at a time."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if rows.size < _RUN * (breaks.size + 1):
        for some in np.array_split(rows, max(1, rows.size // _ROWS_AT_ONCE)):
            starts = shard.offsets[some].astype(np.int64)
            lengths = shard.offsets[some + 1].astype(np.int64) - starts
            entries = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
            yield shard.latents(entries + np.arange(entries.size))
        return
    pieces: list[NDArray[np.int32]] = []
    for run in np.split(rows, breaks):
        pieces.append(shard.latents(slice(int(shard.offsets[run[0]]), int(shard.offsets[run[-1] + 1]))))
        if len(pieces) == _PIECES or pieces[-1].size >= _ENTRIES_AT_ONCE:
            yield np.concatenate(pieces)
            pieces = []
    if pieces:
        yield np.concatenate(pieces)
