# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Which (token, latent) pairs are candidates to fire: pre-activations exist for one tile of tokens at a time.

Candidates may be chosen in low precision and are a little more than what will fire; their exact pre-activations are
computed afterwards, and those decide. Positive floats order like the integers of their bits, which on a CPU compare
and partition many times faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_BITS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
_BLOCKS_PER_PLACE = 8
_LARGEST_BLOCK = 16
_TILE = 1 << 21
"""Pre-activations that exist at one time, at most."""


class Found(NamedTuple):
    """Candidates, row-major."""

    rows: Int[Tensor, " pairs"]
    latents: Int[Tensor, " pairs"]


class Selector:
    """Tile-wise choice of candidates, with buffers that are used again and again."""

    def __init__(self, dtype: torch.dtype, tile_rows: int) -> None:
        self.dtype = dtype
        self._tile_rows = tile_rows
        self._buffers: dict[str, Tensor] = {}

    def scaled(
        self, encoder: Float[Tensor, "n_latents d_in"], lengths: Float[Tensor, " n_latents"]
    ) -> Float[Tensor, "n_latents d_in"]:
        """Return the encoder in the precision of the choice, rows times their lengths; the next call overwrites it."""
        found = self._room("encoder", encoder.shape, encoder.device)
        for start in range(0, len(encoder), self._tile_rows):
            rows = slice(start, start + self._tile_rows)
            found[rows] = encoder[rows] * lengths[rows, None]
        return found

    def tiles(
        self,
        x: Float[Tensor, "batch d_in"],
        encoder: Float[Tensor, "n_latents d_in"],
        bias: Float[Tensor, " n_latents"],
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the first row and the pre-activations of each tile; the next tile overwrites them."""
        if encoder.dtype != self.dtype:
            encoder = self._room("encoder", encoder.shape, encoder.device).copy_(encoder)
        bias = bias.to(self.dtype)
        step = min(self._tile_rows, max(_TILE // len(encoder), 1), len(x))
        buffer = self._room("tile", (step, len(encoder)), x.device)
        for start in range(0, len(x), step):
            rows = x[start : start + step].to(self.dtype)
            yield start, torch.addmm(bias, rows, encoder.t(), out=buffer[: len(rows)])

    def largest(self, x: Tensor, encoder: Tensor, bias: Tensor, k: int) -> Found:
        """Return at least the k largest positive ones of every row."""
        return _join([(start, largest_of_rows(tile, k)) for start, tile in self.tiles(x, encoder, bias)], len(encoder))

    def above(self, x: Tensor, encoder: Tensor, bias: Tensor, *, least: float = 0.0, limit: int = 0) -> Found | None:
        """Return all positive ones at or above `least`, or nothing where there are more than `limit` (0: no limit)."""
        parts: list[tuple[int, Tensor]] = []
        total = 0
        for start, tile in self.tiles(x, encoder, bias):
            parts.append((start, at_least(tile, least)))
            total += len(parts[-1][1])
            if limit and total > limit:
                return None
        return _join(parts, len(encoder))

    def level(self, x: Tensor, encoder: Tensor, bias: Tensor, k: float) -> float:
        """Return the value above which, in the first tile, k per row lie; zero where fewer are positive."""
        _, tile = next(self.tiles(x, encoder, bias))
        count = min(max(int(k * len(tile)), 1), tile.numel())
        return max(float(tile.flatten().float().topk(count, sorted=False).values.min()), 0.0)

    def _room(self, name: str, shape: Sequence[int], device: torch.device) -> Tensor:
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape[1] != shape[1] or len(buffer) < shape[0]:
            buffer = self._buffers[name] = torch.empty(*shape, dtype=self.dtype, device=device)
        return buffer[: shape[0]]


def largest_of_rows(tile: Float[Tensor, "rows n_latents"], k: int) -> Int[Tensor, " found"]:
    """Return flat places of at least the k largest positive entries of every row.

    The k-th largest of the maxima of many blocks is at most the k-th largest entry, so all above it are enough.
    """
    rows, n_latents = tile.shape
    if tile.device.type != "cpu":
        chosen = tile.topk(k, dim=1, sorted=False).indices
        return (chosen + torch.arange(rows, device=tile.device)[:, None] * n_latents).flatten()
    bits = tile.view(_BITS[tile.dtype])
    size = _block_size(n_latents, k)
    maxima = bits.view(rows, size, n_latents // size).amax(1).numpy()
    least = np.maximum(np.partition(maxima, -k, axis=1)[:, -k], 1)
    return torch.from_numpy(np.flatnonzero(bits.numpy() >= least[:, None]))


def at_least(tile: Float[Tensor, "rows n_latents"], least: float) -> Int[Tensor, " found"]:
    """Return flat places of the positive entries at or above `least`."""
    if tile.device.type != "cpu":
        return ((tile > 0) & (tile >= least)).flatten().nonzero().flatten()
    bits = tile.view(_BITS[tile.dtype]).numpy()
    lowest = torch.tensor(least).to(tile.dtype).view(_BITS[tile.dtype]).item()
    return torch.from_numpy(np.flatnonzero(bits >= max(lowest, 1)))


def _block_size(n_latents: int, k: int) -> int:
    size = _LARGEST_BLOCK
    while size > 1 and (n_latents % size or n_latents // size < _BLOCKS_PER_PLACE * k):
        size //= 2
    return size


def _join(parts: list[tuple[int, Tensor]], n_latents: int) -> Found:
    flat = torch.cat([places + start * n_latents for start, places in parts])
    rows = torch.div(flat, n_latents, rounding_mode="floor")
    return Found(rows.int(), (flat - rows * n_latents).int())
