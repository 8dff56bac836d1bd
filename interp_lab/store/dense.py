"""Reading a dense column: mapped shards, decoded where they are touched and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.contracts.store import DenseColumn, Shard
from interp_lab.errors import RowOutOfRange
from interp_lab.store.number_formats import FORMATS, Float32s, Raw, decode
from interp_lab.store.tensor_file import map_tensors

CHUNK_ROWS = 8192


class ShardSpan(NamedTuple):
    """The part of a run of rows that lies in one shard."""

    shard: int
    start: int
    """First row, counted in the shard."""
    stop: int


class DenseReader:
    """One dense column, `(n_rows, width)` float32 to the caller whatever its format on disk."""

    def __init__(self, column: DenseColumn, shards: Sequence[Shard], path_of: Callable[[str], Path]) -> None:
        self.column = column
        self.width = column.width
        self.n_rows = sum(shard.n_rows for shard in shards)
        self._starts = np.array([shard.start for shard in shards], np.int64)
        self._ends = self._starts + np.array([shard.n_rows for shard in shards], np.int64)
        self._path_of = path_of
        self._shards = shards
        self._raw = cache(self._mapped)

    def take(self, indices: ArrayLike) -> Float32s:
        """Return the rows of those numbers, in the order asked for, `(n, width)`.

        Raises:
            RowOutOfRange: A number is not that of a row.
        """
        return decode(self.take_raw(indices), self.column.dtype)

    def take_raw(self, indices: ArrayLike) -> Raw:
        """Return rows as they are stored; see `take`."""
        rows = checked_indices(indices, self.n_rows, "row")
        if len(self._shards) == 1:
            return np.take(self._raw(0), rows, axis=0)
        out = np.empty((rows.size, self.width), FORMATS[self.column.dtype].storage)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(owner, kind="stable")
        bounds = np.searchsorted(owner[order], np.arange(len(self._shards) + 1))
        for index in np.flatnonzero(np.diff(bounds)):
            places = order[bounds[index] : bounds[index + 1]]
            out[places] = np.take(self._raw(int(index)), rows[places] - self._starts[index], axis=0)
        return out

    def slice(self, start: int, stop: int) -> Float32s:
        """Return rows `start:stop`, `(stop - start, width)`; errors as `take`."""
        spans = self.spans(start, stop)
        parts = [decode(self._raw(span.shard)[span.start : span.stop], self.column.dtype) for span in spans]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)

    def chunks(self, max_rows: int = CHUNK_ROWS) -> Iterator[tuple[int, Float32s]]:
        """Yield every row once, in order: the number of the first row and a block of at most `max_rows`."""
        for index, (first, end) in enumerate(zip(self._starts.tolist(), self._ends.tolist(), strict=True)):
            for start in range(0, end - first, max_rows):
                block = self._raw(index)[start : start + max_rows]
                yield first + start, decode(block, self.column.dtype)

    def units(self, units: ArrayLike) -> Float32s:
        """Return some units over all rows, `(n_rows, n_units)`; errors as `take`."""
        wanted = checked_indices(units, self.width, "unit")
        parts = [decode(self._raw(index)[:, wanted], self.column.dtype) for index in range(len(self._shards))]
        return np.concatenate(parts) if parts else np.empty((0, wanted.size), np.float32)

    def map_all(self) -> None:
        """Open every file of the column.

        Raises:
            StoreCorrupt: One is missing, damaged or not what the manifest says.
        """
        for index in range(len(self._shards)):
            self._raw(index)

    def spans(self, start: int, stop: int) -> list[ShardSpan]:
        """Return where rows `start:stop` lie."""
        check_run(start, stop, self.n_rows)
        spans = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        return [
            ShardSpan(index, max(start, first) - first, min(stop, end) - first)
            for index, (first, end) in enumerate(spans)
            if first < stop and end > start
        ]

    def _mapped(self, index: int) -> Raw:
        shard, column = self._shards[index], self.column
        mapped = map_tensors(self._path_of(shard.columns[column.key].name))
        return mapped.require({"values": (FORMATS[column.dtype].tag, (shard.n_rows, column.width))})["values"]


def checked_indices(indices: ArrayLike, n: int, what: str) -> NDArray[np.int64]:
    """Return indices as int64.

    Raises:
        RowOutOfRange: One is not a whole number in 0 … n - 1.
    """
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise RowOutOfRange(f"A list of {what} numbers is needed, not {array.dtype} of shape {array.shape}.")
    if array.size and not (array.min() >= 0 and array.max() < n):
        raise RowOutOfRange(f"There are {what}s 0 to {n - 1}; {array.min()} to {array.max()} were asked for.")
    return array.astype(np.int64)


def check_run(start: int, stop: int, n_rows: int) -> None:
    """Refuse a run of rows that is not inside the store.

    Raises:
        RowOutOfRange: It is not.
    """
    if not 0 <= start <= stop <= n_rows:
        raise RowOutOfRange(f"There are rows 0 to {n_rows - 1}; {start}:{stop} is not a run of them.")
