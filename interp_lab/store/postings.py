"""The latent-major copy of codes: each latent's rows by falling value, so that its top contexts are a slice.

One sort of a 64-bit key (latent, falling value, row) does it, over as many latents at a time as the memory allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import MAX_SHARD_ROWS, CodeColumn, PostingsPart
from interp_lab.store.code_files import CodeShard, postings_layout
from interp_lab.store.names import postings_file
from interp_lab.store.number_formats import FORMATS, Raw
from interp_lab.store.shard_log import WholeShard
from interp_lab.store.shard_writing import TEMPORARY, seal_file
from interp_lab.store.tensor_file import Array, TensorSpec, create_tensors
from interp_lab.store.wide_integers import split

ENTRIES_PER_SORT = 1 << 25
"""Keys in memory at once, eight bytes each."""
_ENTRIES_PER_READ = 1 << 22
PART_ROWS = MAX_SHARD_ROWS
"""Rows of one part at most, so that a row fits into three bytes."""
_ROW_BITS = MAX_SHARD_ROWS.bit_length() - 1
_Keys = NDArray[np.uint64]


class _Piece(NamedTuple):
    """Some entries of one shard."""

    latents: NDArray[np.int32]
    raw: Raw
    rows: NDArray[np.int64]
    """Counted from the part's first row."""


def build_postings(folder: Path, column: CodeColumn, shards: Sequence[WholeShard]) -> tuple[PostingsPart, ...]:
    """Write the latent-major copy of a code column, in parts of at most 2**24 rows, and return what was written."""
    return tuple(_build_part(folder, column, part, index) for index, part in enumerate(_parts(shards)))


def _parts(shards: Sequence[WholeShard]) -> list[list[WholeShard]]:
    parts: list[list[WholeShard]] = []
    for shard in shards:
        if not parts or shard.start + shard.n_rows - parts[-1][0].start > PART_ROWS:
            parts.append([])
        parts[-1].append(shard)
    return parts


def _build_part(folder: Path, column: CodeColumn, shards: Sequence[WholeShard], index: int) -> PostingsPart:
    start, n_rows = shards[0].start, sum(shard.n_rows for shard in shards)
    opened = [
        (shard.start - start, CodeShard(folder / shard.files[column.key].name, column, shard.n_rows))
        for shard in shards
    ]
    counts = np.zeros(column.width, np.int64)
    for piece in _pieces(opened):
        counts += np.bincount(piece.latents, minlength=column.width)
    offsets: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    temporary = folder / (postings_file(column.key, index) + TEMPORARY)
    layout = postings_layout(column, n_rows, int(offsets[-1]))
    arrays = create_tensors(temporary, [TensorSpec(name, tag, shape) for name, (tag, shape) in layout.items()])
    arrays["offsets"][:] = offsets
    for first, last in _runs(offsets, ENTRIES_PER_SORT, _latents_per_sort(column)):
        keys = _sorted_keys(column, opened, (first, last), int(offsets[last] - offsets[first]))
        _fill(arrays, slice(int(offsets[first]), int(offsets[last])), keys, (column, n_rows))
    del arrays
    return PostingsPart(start=start, n_rows=n_rows, n_active=int(offsets[-1]), file=seal_file(temporary))


def _pieces(opened: Sequence[tuple[int, CodeShard]]) -> Iterator[_Piece]:
    """Every entry, in the order of the rows, a bounded number at a time."""
    for first_row, shard in opened:
        counts = np.diff(shard.offsets.astype(np.int64))
        for start, stop in _runs(shard.offsets.astype(np.int64), _ENTRIES_PER_READ):
            rows = np.repeat(np.arange(start, stop, dtype=np.int64) + first_row, counts[start:stop])
            entries = slice(int(shard.offsets[start]), int(shard.offsets[stop]))
            yield _Piece(shard.latents(entries), shard.raw_values(entries), rows)


def _value_bits(column: CodeColumn) -> int:
    return FORMATS[column.dtype].storage.itemsize * 8


def _latents_per_sort(column: CodeColumn) -> int:
    return 1 << (64 - _ROW_BITS - _value_bits(column))


def _runs(offsets: NDArray[np.int64], entries: int, longest: int = MAX_SHARD_ROWS) -> Iterator[tuple[int, int]]:
    """Runs of rows or latents with at most so many entries together; one with more is a run of its own."""
    first, n = 0, len(offsets) - 1
    while first < n:
        last = int(np.searchsorted(offsets, int(offsets[first]) + entries, side="right")) - 1
        last = min(max(last, first + 1), first + longest, n)
        yield first, last
        first = last


def _sorted_keys(
    column: CodeColumn, opened: Sequence[tuple[int, CodeShard]], latents: tuple[int, int], n_entries: int
) -> _Keys:
    keys, filled = np.empty(n_entries, np.uint64), 0
    for piece in _pieces(opened):
        inside = np.flatnonzero((piece.latents >= latents[0]) & (piece.latents < latents[1]))
        part = keys[filled : filled + inside.size]
        part[:] = (piece.latents[inside] - latents[0]).astype(np.uint64)
        part <<= np.uint64(_value_bits(column))
        part |= _falling(piece.raw[inside])
        part <<= np.uint64(_ROW_BITS)
        part |= piece.rows[inside].astype(np.uint64)
        filled += inside.size
    keys.sort()
    return keys


def _fill(arrays: dict[str, Array], entries: slice, keys: _Keys, column_rows: tuple[CodeColumn, int]) -> None:
    column, n_rows = column_rows
    rows = keys & np.uint64(MAX_SHARD_ROWS - 1)
    for name, numbers in split("rows", rows, n_rows).items():
        arrays[name][entries] = numbers
    storage = FORMATS[column.dtype].storage
    arrays["values"][entries] = _risen(keys >> np.uint64(_ROW_BITS), storage)


def _falling(raw: Raw) -> NDArray[Any]:
    """Unsigned codes that fall as the stored floats rise: sign bit flipped, negatives mirrored, all complemented."""
    bits = raw.view(f"<u{raw.dtype.itemsize}")
    top = bits.dtype.type(1 << (bits.dtype.itemsize * 8 - 1))
    return np.where(bits < top, ~(bits | top), bits)


def _risen(codes: _Keys, storage: np.dtype[Any]) -> Raw:
    """The stored floats of falling codes; higher bits of the code are ignored."""
    bits = codes.astype(f"<u{storage.itemsize}")
    top = bits.dtype.type(1 << (storage.itemsize * 8 - 1))
    return np.where(bits < top, ~(bits | top), bits).view(storage)
