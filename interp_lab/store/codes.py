"""Reading a code column both ways: which latents fire in a row, and in which rows a latent fires most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.contracts.store import CodeColumn, PostingsPart, Shard
from interp_lab.store.blocks import CodeBlock
from interp_lab.store.code_files import CodeShard, PostingsFile
from interp_lab.store.dense import CHUNK_ROWS, check_run, checked_indices
from interp_lab.store.number_formats import Float32s, decode


class LatentRows(NamedTuple):
    """Where one latent is active."""

    rows: NDArray[np.int64]
    """Rows, strongest first, then in order."""
    values: Float32s
    """How strongly, never rising."""


class LatentMajor(NamedTuple):
    """Where a run of latents is active, one after the other."""

    offsets: NDArray[np.int64]
    """Latent `first + i` has entries `offsets[i]:offsets[i + 1]`."""
    rows: NDArray[np.int64]
    """Strongest first within a latent."""
    values: Float32s
    """Never rising within a latent."""


class CodeReader:
    """One code column, `(n_rows, width)` with zeros not stored."""

    def __init__(
        self,
        column: CodeColumn,
        shards: Sequence[Shard],
        parts: Sequence[PostingsPart],
        path_of: Callable[[str], Path],
    ) -> None:
        self.column = column
        self.width = column.width
        self.n_rows = sum(shard.n_rows for shard in shards)
        self.n_active = sum(part.n_active for part in parts)
        """Stored values."""
        self._shards = shards
        self._parts = parts
        self._path_of = path_of
        self._shard = cache(self._mapped_shard)
        self._part = cache(self._mapped_part)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows in which each latent is active, `(width,)`."""
        total = np.zeros(self.width, np.int64)
        for index in range(len(self._parts)):
            total += np.diff(self._part(index).offsets)
        return total

    def row_block(self, start: int, stop: int) -> CodeBlock:
        """Return the codes of rows `start:stop`.

        Raises:
            RowOutOfRange: That is not a run of rows.
        """
        check_run(start, stop, self.n_rows)
        blocks = [
            self._block(
                index, max(start, shard.start) - shard.start, min(stop, shard.start + shard.n_rows) - shard.start
            )
            for index, shard in enumerate(self._shards)
            if shard.start < stop and shard.start + shard.n_rows > start
        ]
        return joined_blocks(blocks)

    def chunks(self, max_rows: int = CHUNK_ROWS) -> Iterator[tuple[int, CodeBlock]]:
        """Yield every row once, in order: the number of the first row and the codes of at most `max_rows`."""
        for index, shard in enumerate(self._shards):
            for start in range(0, shard.n_rows, max_rows):
                yield shard.start + start, self._block(index, start, min(start + max_rows, shard.n_rows))

    def latent(self, latent: int, limit: int | None = None) -> LatentRows:
        """Return where a latent is active, strongest first, or only its `limit` strongest rows.

        Raises:
            RowOutOfRange: There is no such latent.
        """
        checked_indices([latent], self.width, "latent")
        found = [self._postings(index, latent, limit) for index in range(len(self._parts))]
        if len(found) == 1:
            return found[0]
        rows, values = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        order = np.argsort(-values, kind="stable")[:limit]
        return LatentRows(rows[order], values[order])

    def latents(self, first: int, last: int) -> LatentMajor:
        """Return where latents `first:last` are active; errors as `latent`."""
        if first == last:
            return LatentMajor(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        checked_indices([first, last - 1], self.width, "latent")
        if len(self._parts) == 1:
            return self._run(0, first, last)
        return _merged([self._run(index, first, last) for index in range(len(self._parts))])

    def units(self, latents: ArrayLike) -> Float32s:
        """Return some latents over all rows with their zeros, `(n_rows, n)`; errors as `latent`."""
        wanted = checked_indices(latents, self.width, "latent")
        out = np.zeros((self.n_rows, wanted.size), np.float32)
        for place, latent in enumerate(wanted.tolist()):
            found = self.latent(latent)
            out[found.rows, place] = found.values
        return out

    def map_all(self) -> None:
        """Open every file of the column.

        Raises:
            StoreCorrupt: One is missing, damaged or not what the manifest says.
        """
        for index in range(len(self._shards)):
            self._shard(index)
        for index in range(len(self._parts)):
            self._part(index)

    def _block(self, index: int, start: int, stop: int) -> CodeBlock:
        shard = self._shard(index)
        offsets = shard.offsets[start : stop + 1].astype(np.int64)
        entries = slice(int(offsets[0]), int(offsets[-1]))
        values = decode(shard.raw_values(entries), self.column.dtype)
        return CodeBlock(offsets - offsets[0], shard.latents(entries), values)

    def _postings(self, index: int, latent: int, limit: int | None) -> LatentRows:
        part = self._part(index)
        start, stop = int(part.offsets[latent]), int(part.offsets[latent + 1])
        entries = slice(start, stop if limit is None else min(stop, start + limit))
        values = decode(part.raw_values(entries), self.column.dtype)
        return LatentRows(part.rows(entries) + self._parts[index].start, values)

    def _run(self, index: int, first: int, last: int) -> LatentMajor:
        part = self._part(index)
        offsets = part.offsets[first : last + 1]
        entries = slice(int(offsets[0]), int(offsets[-1]))
        values = decode(part.raw_values(entries), self.column.dtype)
        return LatentMajor(offsets - offsets[0], part.rows(entries) + self._parts[index].start, values)

    def _mapped_shard(self, index: int) -> CodeShard:
        shard = self._shards[index]
        return CodeShard(self._path_of(shard.columns[self.column.key].name), self.column, shard.n_rows)

    def _mapped_part(self, index: int) -> PostingsFile:
        part = self._parts[index]
        return PostingsFile(self._path_of(part.file.name), self.column, part.n_rows)


def joined_blocks(blocks: Sequence[CodeBlock]) -> CodeBlock:
    """Return consecutive blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    counts = [np.diff(block.indptr) for block in blocks]
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.int64), *counts]))])
    latents = np.concatenate([np.empty(0, np.int32), *(block.latents for block in blocks)])
    values = np.concatenate([np.empty(0, np.float32), *(block.values for block in blocks)])
    return CodeBlock(indptr, latents, values)


def _merged(runs: Sequence[LatentMajor]) -> LatentMajor:
    counts = [np.diff(run.offsets) for run in runs]
    latents = np.concatenate([np.repeat(np.arange(len(count)), count) for count in counts])
    rows = np.concatenate([run.rows for run in runs])
    values = np.concatenate([run.values for run in runs])
    order = np.lexsort((rows, -values, latents))
    offsets = np.concatenate([[0], np.cumsum(np.sum(counts, axis=0))]).astype(np.int64)
    return LatentMajor(offsets, rows[order], values[order])
