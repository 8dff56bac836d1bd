"""Ranks with ties for every column at once: one sort per block of columns, from which all rank statistics follow.

Blocks are transposed, `(n_columns, n_rows)`, so that a column is contiguous.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Bools, Floats, Ints, Matrix

_SIGN_FLIP = np.int32(0x7FFFFFFF)


class RankedBlock(NamedTuple):
    """A block of columns in ascending order, with the bounds of its runs of equal values.

    All indices are flat, `column * n_rows + row`: flat gathers are several times faster than gathers along an axis.
    """

    shape: tuple[int, int]
    """`(n_columns, n_rows)`."""
    order: Ints
    """Flat index of the value at each sorted position."""
    first: Ints | None
    """First sorted position of the run of equal values that each position belongs to; None if nothing is tied."""
    last: Ints | None
    """Last sorted position of that run; None if nothing is tied."""

    def in_row_order(self, values: Floats) -> Floats:
        """Return `values`, given by sorted position, at the rows that they belong to."""
        out = np.empty(values.size)
        out[self.order] = values.ravel()
        return out.reshape(self.shape)

    def sorted_weights(self, weights: Floats) -> Floats:
        """Return row weights `(n_rows,)` by sorted position `(n_columns, n_rows)`."""
        tiled = np.broadcast_to(weights, self.shape).ravel()
        return tiled[self.order].reshape(self.shape)

    def weight_below(self, weights: Floats) -> Floats:
        """Return per sorted position the row weight strictly below its value plus half of the weight tied with it.

        Its own weight is part of the tied weight.
        """
        own = self.sorted_weights(weights)
        through = np.cumsum(own, axis=1)
        before = np.subtract(through, own, out=own)
        if self.first is not None and self.last is not None:
            before = before.ravel()[self.first].reshape(self.shape)
            through = through.ravel()[self.last].reshape(self.shape)
        before += through
        before *= 0.5
        return before

    def rows_below(self) -> Floats:
        """Return per sorted position the number of rows below plus half of those tied: the midrank minus one half."""
        if self.first is None or self.last is None:
            return np.broadcast_to(np.arange(self.shape[1], dtype=np.float64) + 0.5, self.shape)
        offset = np.arange(self.shape[0])[:, None] * self.shape[1]
        doubled = (self.first + self.last).reshape(self.shape) - 2 * offset
        return doubled.astype(np.float64) * 0.5 + 0.5


def rank_block(block: Matrix) -> RankedBlock:
    """Return the ranked form of a transposed block `(n_columns, n_rows)` of finite numbers."""
    shape = (block.shape[0], block.shape[1])
    order, starts = _sorted_float32(block) if block.dtype == np.float32 else _sorted_float64(block)
    if starts.all():
        return RankedBlock(shape, order, None, None)
    # Every column starts a run, so none reaches from one column into the next.
    begins = np.flatnonzero(starts)
    lengths = np.diff(np.append(begins, order.size))
    first, last = np.repeat(begins, lengths), np.repeat(begins + lengths - 1, lengths)
    return RankedBlock(shape, order, first, last)


def midranks(values: Floats) -> Floats:
    """Return the ranks (from 1, ties averaged) of one vector."""
    ranked = rank_block(np.asarray(values, dtype=np.float64)[None, :])
    return ranked.in_row_order(ranked.rows_below())[0] + 0.5


def _sorted_float32(block: Matrix) -> tuple[Ints, Bools]:
    # One integer key holds value and index, so that a plain (vectorised) sort carries the permutation along.
    bits = (block + np.float32(0)).view(np.int32)
    keys: NDArray[np.int64] = (bits ^ ((bits >> 31) & _SIGN_FLIP)).astype(np.int64)
    np.left_shift(keys, 32, out=keys)
    np.bitwise_or(keys, np.arange(block.size, dtype=np.int64).reshape(block.shape), out=keys)
    keys.sort(axis=1)
    order: Ints = keys & 0xFFFFFFFF
    np.right_shift(keys, 32, out=keys)
    return order.ravel(), _run_starts(keys)


def _sorted_float64(block: Matrix) -> tuple[Ints, Bools]:
    within = np.argsort(block, axis=1, kind="stable")
    order: Ints = np.arange(block.size, dtype=np.intp).reshape(block.shape)
    order = np.take_along_axis(order, within, axis=1)
    return order.ravel(), _run_starts(np.take_along_axis(block, within, axis=1))


def _run_starts(ordered: Matrix | Ints) -> Bools:
    starts = np.ones(ordered.shape, dtype=np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=starts[:, 1:])
    return starts.ravel()
