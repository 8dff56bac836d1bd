"""An open store: what is in it, its tables, its columns, and shuffled batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import CodeColumn, DenseColumn, StoreManifest
from interp_lab.errors import StoreCorrupt, UnknownColumn
from interp_lab.store.arrow import Table, arrow, read_table
from interp_lab.store.batches import BUFFER_ROWS, shuffled_batches
from interp_lab.store.codes import CodeReader
from interp_lab.store.dense import DenseReader, check_run
from interp_lab.store.manifest import read_manifest
from interp_lab.store.number_formats import Float32s


class ActivationStore:
    """A finished store; files are mapped when first touched and stay mapped."""

    def __init__(self, manifest: StoreManifest, path_of: Callable[[str], Path]) -> None:
        self.manifest = manifest
        self.path_of = path_of
        """Where a file of that name lies."""
        self._dense: dict[str, DenseReader] = {}
        self._codes: dict[str, CodeReader] = {}

    @property
    def n_rows(self) -> int:
        """Rows."""
        return self.manifest.n_rows

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every column, dense and codes, in the order of the header."""
        return tuple(column.key for column in self.manifest.columns)

    @cached_property
    def dense_widths(self) -> dict[str, int]:
        """Width of every dense column."""
        return {column.key: column.width for column in self.manifest.columns if column.kind == "dense"}

    @property
    def models(self) -> tuple[str | None, ...]:
        """Name of the model that the activations are of."""
        return (self.manifest.model.id if self.manifest.model else None,)

    @property
    def content_hash(self) -> str:
        """Hash over the manifest, which has the hashes of all bytes of data."""
        return hashlib.sha256(self.manifest.model_dump_json().encode()).hexdigest()

    def prompts(self) -> Table:
        """Return the prompt table."""
        return read_table(self.path_of(self.manifest.prompts.name))

    def rows(self, columns: Sequence[str] | None = None, *, start: int = 0, stop: int | None = None) -> Table:
        """Return the row table or some of its columns, for all rows or for rows `start:stop`.

        Raises:
            RowOutOfRange: That is not a run of rows.
            StoreCorrupt: A table is damaged, or has not those columns.
        """
        stop = self.n_rows if stop is None else stop
        check_run(start, stop, self.n_rows)
        shards = [shard for shard in self.manifest.shards if shard.start < max(stop, start + 1)]
        shards = [shard for shard in shards if shard.start + shard.n_rows > start] or [self.manifest.shards[-1]]
        wanted = None if columns is None else list(columns)
        tables = [read_table(self.path_of(shard.rows.name), wanted) for shard in shards]
        for shard, table in zip(shards, tables, strict=True):
            if table.num_rows != shard.n_rows:
                raise StoreCorrupt(f"{shard.rows.name!r} has {table.num_rows} rows; the manifest says {shard.n_rows}.")
        return arrow().concat_tables(tables).slice(start - shards[0].start, stop - start)

    def column(self, key: str) -> DenseColumn | CodeColumn:
        """Return what a column is.

        Raises:
            UnknownColumn: There is none of that key.
        """
        column = self.manifest.column(key)
        if column is None:
            raise UnknownColumn(f"The store has no column {key[:120]!r}; it has {', '.join(self.keys)[:600]}.")
        return column

    def dense(self, key: str) -> DenseReader:
        """Return the reader of a dense column; see `column` for errors."""
        column = self.column(key)
        if column.kind != "dense":
            raise UnknownColumn(f"{key!r} holds codes, not dense activations.", remedy="Read it as codes.")
        if key not in self._dense:
            self._dense[key] = DenseReader(column, self.manifest.shards, self.path_of)
        return self._dense[key]

    def codes(self, key: str) -> CodeReader:
        """Return the reader of a code column; see `column` for errors."""
        column = self.column(key)
        if column.kind != "codes":
            raise UnknownColumn(f"{key!r} holds dense activations, not codes.", remedy="Read it as a dense column.")
        if key not in self._codes:
            parts = self.manifest.postings[key]
            self._codes[key] = CodeReader(column, self.manifest.shards, parts, self.path_of)
        return self._codes[key]

    def batches(
        self,
        keys: Sequence[str],
        batch_size: int,
        *,
        seed: int,
        epoch: int = 0,
        where: NDArray[np.bool_] | None = None,
        buffer_rows: int = BUFFER_ROWS,
    ) -> Iterator[dict[str, Float32s]]:
        """Yield shuffled batches of dense columns, the same rows under every key; see `shuffled_batches`."""
        if not keys:
            raise UnknownColumn("No column was named.")
        readers = {key: self.dense(key) for key in keys}
        return shuffled_batches(readers, batch_size, (seed, epoch), where=where, buffer_rows=buffer_rows)


def open_store(folder: Path) -> ActivationStore:
    """Return the store in a folder.

    Raises:
        NotAStore: The folder holds none.
        StoreUnfinished: It is still being written.
        StoreCorrupt: Its manifest is damaged.
        StoreTooNew: A newer interp-lab wrote it.
    """
    return ActivationStore(read_manifest(folder), lambda name: folder / name)
