"""Shuffled batches over a store of any size: blocks in random order, mixed in a buffer, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.store.dense import DenseReader
from interp_lab.store.number_formats import Float32s, decode

BLOCK_ROWS = 256
"""Rows read together: one seek for many rows on a disk."""
BUFFER_ROWS = 65_536
_Rows = NDArray[np.int64]


def shuffled_batches(
    readers: Mapping[str, DenseReader],
    batch_size: int,
    order: tuple[int, int],
    *,
    where: NDArray[np.bool_] | None = None,
    buffer_rows: int = BUFFER_ROWS,
) -> Iterator[dict[str, Float32s]]:
    """Yield every wanted row once in batches `(batch, width)`, the same rows under every key; the last may be short.

    `order` is the seed and the epoch. Blocks of 256 neighbouring rows come in random order and are mixed in a buffer.

    Raises:
        ShapeMismatch: The sizes are not positive, or `where` has not one value per row.
    """
    n_rows = next(iter(readers.values())).n_rows
    if batch_size < 1 or buffer_rows < 1:
        raise ShapeMismatch(f"A batch of {batch_size} rows from a buffer of {buffer_rows} is not possible.")
    if where is not None and (where.shape != (n_rows,) or where.dtype != np.bool_):
        raise ShapeMismatch(f"'where' is one truth value per row, ({n_rows},), not {where.dtype} {where.shape}.")
    rng = np.random.default_rng([*order, 0x5707E])
    capacity = max(1, buffer_rows // batch_size) * batch_size
    for rows in _buffers(n_rows, where, rng, capacity):
        mixed = rng.permutation(rows.size)
        raw = {key: reader.take_raw(rows) for key, reader in readers.items()}
        for start in range(0, rows.size, batch_size):
            places = mixed[start : start + batch_size]
            yield {
                key: decode(np.take(raw[key], places, axis=0), reader.column.dtype) for key, reader in readers.items()
            }


def _buffers(n_rows: int, where: NDArray[np.bool_] | None, rng: np.random.Generator, capacity: int) -> Iterator[_Rows]:
    """Rows of blocks in random order, exactly `capacity` at a time but for the last."""
    held: list[_Rows] = []
    n_held = 0
    for block in rng.permutation(-(-n_rows // BLOCK_ROWS)).tolist():
        rows = np.arange(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, n_rows), dtype=np.int64)
        rows = rows if where is None else rows[where[rows]]
        held.append(rows)
        n_held += rows.size
        while n_held >= capacity:
            whole = np.concatenate(held)
            yield whole[:capacity]
            held, n_held = [whole[capacity:]], n_held - capacity
    if n_held:
        yield np.concatenate(held)
