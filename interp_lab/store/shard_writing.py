"""One shard on its way to disk: a temporary file per column, renamed all together when the last row is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.store import CodeColumn, DenseColumn, StoreDtype, StoreFile
from interp_lab.store.arrow import Table, arrow, write_table
from interp_lab.store.blocks import Block, CodeBlock
from interp_lab.store.code_files import narrow_offsets
from interp_lab.store.names import ROWS, shard_file
from interp_lab.store.number_formats import FORMATS, encode
from interp_lab.store.tensor_file import GrowingTensor, write_tensors
from interp_lab.store.wide_integers import split

TEMPORARY = ".tmp"


class _ColumnFile(Protocol):
    def append(self, block: Any) -> None: ...
    def seal(self) -> None: ...
    def close(self) -> None: ...


class _DenseFile:
    """Rounds and writes as rows come."""

    def __init__(self, path: Path, column: DenseColumn) -> None:
        self._dtype: StoreDtype = column.dtype
        self._tensor = GrowingTensor(path, FORMATS[column.dtype].tag, column.width)

    def append(self, block: NDArray[np.float32]) -> None:
        self._tensor.append(encode(block, self._dtype))

    def seal(self) -> None:
        self._tensor.seal()

    def close(self) -> None:
        self._tensor.close()


class _CodeFile:
    """Keeps the codes of one shard until it is full: how many there are decides the layout."""

    def __init__(self, path: Path, column: CodeColumn) -> None:
        self._path = path
        self._column = column
        self._counts: list[NDArray[np.int64]] = []
        self._latents: list[NDArray[np.int32]] = []
        self._values: list[NDArray[Any]] = []

    def append(self, block: CodeBlock) -> None:
        raw = encode(block.values, self._column.dtype)
        kept = raw != 0 if self._column.dtype != "bfloat16" else (raw & 0x7FFF) != 0
        before = np.concatenate([[0], np.cumsum(kept)])
        self._counts.append(np.diff(before[block.indptr]))
        self._latents.append(block.latents[kept])
        self._values.append(raw[kept])

    def seal(self) -> None:
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(self._counts))])
        tensors = {
            "offsets": narrow_offsets(offsets.astype(np.int64)),
            "values": np.concatenate(self._values),
            **split("latents", np.concatenate(self._latents), self._column.width),
        }
        write_tensors(self._path, tensors, {"values": FORMATS[self._column.dtype].tag})

    def close(self) -> None:
        """Nothing is open."""


class ShardDraft:
    """One shard that is not whole yet."""

    def __init__(self, folder: Path, index: int, columns: Sequence[DenseColumn | CodeColumn]) -> None:
        self.n_rows = 0
        self._folder = folder
        self._index = index
        self._tables: list[Table] = []
        self._files = {column.key: self._open(column) for column in columns}

    def append(self, table: Table | None, blocks: Mapping[str, Block], n_rows: int) -> None:
        """Append rows whose blocks were checked."""
        if table is not None:
            self._tables.append(table)
        for key, file in self._files.items():
            file.append(blocks[key])
        self.n_rows += n_rows

    def seal(self) -> dict[str, StoreFile]:
        """Give every file its name and return them by column; a shard without its record still does not count."""
        if self._tables:
            table = arrow().concat_tables(self._tables).combine_chunks()
            write_table(self._temporary(ROWS), table)
        for file in self._files.values():
            file.seal()
        keys = [*([ROWS] if self._tables else []), *self._files]
        return {key: seal_file(self._temporary(key)) for key in keys}

    def discard(self) -> None:
        """Close what is open and remove it."""
        for key, file in self._files.items():
            file.close()
            self._temporary(key).unlink(missing_ok=True)

    def _open(self, column: DenseColumn | CodeColumn) -> _ColumnFile:
        path = self._temporary(column.key)
        return _DenseFile(path, column) if column.kind == "dense" else _CodeFile(path, column)

    def _temporary(self, key: str) -> Path:
        return self._folder / (shard_file(key, self._index) + TEMPORARY)


def seal_file(temporary: Path) -> StoreFile:
    """Rename a finished temporary file and return what is known of it."""
    path = temporary.with_name(temporary.name.removesuffix(TEMPORARY))
    digest, size = hash_file(temporary)
    temporary.replace(path)
    return StoreFile(name=path.name, sha256=digest, bytes=size)
