"""What is handed to a writer: some rows, with a dense or sparse block of values for every column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.store import CodeColumn, DenseColumn
from interp_lab.errors import UnfitRows
from interp_lab.store.tables import Values


class CodeBlock(NamedTuple):
    """Active latents of `n` rows in row-major order."""

    indptr: NDArray[np.int64]
    """Row r holds entries `indptr[r]:indptr[r + 1]`, `(n + 1,)`."""
    latents: NDArray[np.int32]
    """Which latent, ascending within a row."""
    values: NDArray[np.float32]
    """How strongly."""

    def rows(self, start: int, stop: int) -> CodeBlock:
        """Return the block of rows `start:stop`."""
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        return CodeBlock(self.indptr[start : stop + 1] - first, self.latents[first:last], self.values[first:last])


Block = NDArray[Any] | CodeBlock


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Consecutive rows of a store."""

    rows: Mapping[str, Values]
    """Columns of the row table: `prompt`, `position`, and what else the header declares."""
    columns: Mapping[str, Block] = field(default_factory=dict[str, Block])
    """Values by column key: dense float32 `(n, width)`, or a CodeBlock for codes (a dense block is accepted too)."""


def checked_block(column: DenseColumn | CodeColumn, block: Block, n_rows: int) -> Block:
    """Return the block in the form its column stores: dense float32 for dense columns, sorted codes for code columns.

    Raises:
        UnfitRows: The shape, the latents or the offsets do not fit the column.
    """
    if isinstance(block, CodeBlock):
        if column.kind == "dense":
            raise UnfitRows(f"Column {column.key!r} is dense; codes were given.")
        return _checked_codes(column, block, n_rows)
    values = np.ascontiguousarray(block, np.float32)
    if values.shape != (n_rows, column.width):
        raise UnfitRows(f"Column {column.key!r} takes ({n_rows}, {column.width}) values, not {values.shape}.")
    return values if column.kind == "dense" else _codes_of(values)


def _codes_of(values: NDArray[np.float32]) -> CodeBlock:
    rows, latents = np.nonzero(values)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    return CodeBlock(indptr.astype(np.int64), latents.astype(np.int32), values[rows, latents])


def _checked_codes(column: CodeColumn, block: CodeBlock, n_rows: int) -> CodeBlock:
    indptr = np.asarray(block.indptr, np.int64)
    latents, values = np.asarray(block.latents), np.asarray(block.values, np.float32)
    counts = np.diff(indptr)
    if indptr.shape != (n_rows + 1,) or indptr[0] != 0 or (counts < 0).any():
        raise UnfitRows(f"The offsets of {column.key!r} are not {n_rows + 1} ascending numbers from 0.")
    if latents.shape != (indptr[-1],) or values.shape != latents.shape:
        raise UnfitRows(f"{column.key!r} has {latents.shape} latents and {values.shape} values, not {indptr[-1]}.")
    if latents.size and not (latents.min() >= 0 and latents.max() < column.width):
        raise UnfitRows(f"{column.key!r} has latents 0 to {column.width - 1}; {latents.min()} to {latents.max()} came.")
    return _sorted_codes(column, CodeBlock(indptr, latents.astype(np.int32), values))


def _sorted_codes(column: CodeColumn, block: CodeBlock) -> CodeBlock:
    """The block with latents ascending in each row: the same codes give the same bytes, whoever selected them."""
    rows = np.repeat(np.arange(len(block.indptr) - 1, dtype=np.int64), np.diff(block.indptr))
    places = rows * column.width + block.latents
    steps = np.diff(places)
    if (steps < 0).any():
        order = np.argsort(places, kind="stable")
        block = CodeBlock(block.indptr, block.latents[order], block.values[order])
        steps = np.diff(places[order])
    if (steps == 0).any():
        raise UnfitRows(f"{column.key!r} names latent {block.latents[int(np.argmin(steps))]} twice in one row.")
    return block
