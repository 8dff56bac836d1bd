"""A stream of blocks cut into shards: checked, rounded, and continued after the last whole shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from interp_lab.contracts.store import CodeColumn, DenseColumn
from interp_lab.errors import NonFiniteActivations, UnfitRows, ValueOverflow
from interp_lab.store.arrow import Table
from interp_lab.store.blocks import Block, CodeBlock, checked_block
from interp_lab.store.number_formats import first_unstorable
from interp_lab.store.shard_log import ShardLog, WholeShard
from interp_lab.store.shard_writing import ShardDraft

Place = Callable[[int], str]
"""Says in words which row of the block is meant."""


class ShardStream:
    """Columns on their way to disk."""

    def __init__(
        self, folder: Path, log: ShardLog, columns: Sequence[DenseColumn | CodeColumn], shard_rows: int
    ) -> None:
        self._folder = folder
        self._log = log
        self._columns = columns
        self._shard_rows = shard_rows
        self._draft: ShardDraft | None = None
        self._last_prompt = -1

    @property
    def n_rows(self) -> int:
        """Rows so far, those of the unfinished shard included."""
        return self._log.n_rows + (self._draft.n_rows if self._draft else 0)

    def add(self, table: Table | None, blocks: Mapping[str, Block], n_rows: int, place: Place) -> None:
        """Append rows; nothing is appended if one of them is refused.

        Raises:
            UnfitRows: The columns are not those of the header.
            NonFiniteActivations: A value is NaN or infinite.
            ValueOverflow: A value is too large for its column.
        """
        checked = self._checked(blocks, n_rows, place)
        start = 0
        while start < n_rows:
            draft = self._open_draft()
            stop = min(n_rows, start + self._shard_rows - draft.n_rows)
            part = None if table is None else table.slice(start, stop - start)
            if part is not None:
                self._last_prompt = max(self._last_prompt, int(np.max(part.column("prompt").to_numpy())))
            draft.append(part, {key: _rows(block, start, stop) for key, block in checked.items()}, stop - start)
            if draft.n_rows == self._shard_rows:
                self.seal()
            start = stop

    def seal(self) -> None:
        """Finish the shard that is open, if one is."""
        if self._draft is not None and self._draft.n_rows:
            n_rows, files = self._draft.n_rows, self._draft.seal()
            shard = WholeShard(start=self._log.n_rows, n_rows=n_rows, last_prompt=self._last_prompt, files=files)
            self._log.commit(shard)
        self._draft, self._last_prompt = None, -1

    def discard(self) -> None:
        """Drop the rows of the shard that is open."""
        if self._draft is not None:
            self._draft.discard()
        self._draft = None

    def _open_draft(self) -> ShardDraft:
        if self._draft is None:
            self._draft = ShardDraft(self._folder, len(self._log.shards), self._columns)
        return self._draft

    def _checked(self, blocks: Mapping[str, Block], n_rows: int, place: Place) -> dict[str, Block]:
        wanted = {column.key for column in self._columns}
        if set(blocks) != wanted:
            raise UnfitRows(f"Columns {sorted(blocks)} were given; the header declares {sorted(wanted)}."[:500])
        checked = {column.key: checked_block(column, blocks[column.key], n_rows) for column in self._columns}
        for column in self._columns:
            _refuse_unstorable(column, checked[column.key], place)
        return checked


def _rows(block: Block, start: int, stop: int) -> Block:
    return block.rows(start, stop) if isinstance(block, CodeBlock) else block[start:stop]


def _refuse_unstorable(column: DenseColumn | CodeColumn, block: Block, place: Place) -> None:
    values = block.values if isinstance(block, CodeBlock) else block
    bad = first_unstorable(values, column.dtype)
    if bad is None:
        return
    value = float(values.reshape(-1)[bad])
    if isinstance(block, CodeBlock):
        row, unit = int(np.searchsorted(block.indptr, bad, side="right")) - 1, int(block.latents[bad])
    else:
        row, unit = divmod(bad, column.width)
    where = f"{column.key} unit {unit} is {value:g} at {place(row)}"
    if np.isfinite(value):
        raise ValueOverflow(f"{where}, which {column.dtype} cannot hold.")
    raise NonFiniteActivations(f"{where}; nothing of this block was stored.")
