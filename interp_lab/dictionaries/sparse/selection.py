# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Which (token, latent) pairs are candidates to fire: pre-activations exist for one tile of tokens at a time.

Candidates may be chosen in low precision and are a little more than what will fire; their exact pre-activations are
computed afterwards, and those decide. Positive floats order like the integers of their bits, which on a CPU compare
and partition many times faster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
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


class Reader(NamedTuple):
    """What pre-activations are computed with."""

    encoder: Float[Tensor, "n_latents d_in"]
    bias: Float[Tensor, " n_latents"]
    lengths: Float[Tensor, " n_latents"] | None = None
    """Of decoder rows: what scores are multiplied by before latents compete."""


class Scores(ABC):
    """The pre-activations of one batch as numbers that order like them, tile after tile."""

    n_latents: int

    @abstractmethod
    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield tokens and their numbers `(tokens, n_latents)`; the next tile overwrites them."""

    @abstractmethod
    def number(self, score: float, rows: slice) -> float | Int[Tensor, " rows"]:
        """Return the number, of all or of each of some tokens, from which on candidates reach a score."""

    @abstractmethod
    def slack(self, rows: slice) -> Int[Tensor, " rows"] | None:
        """Return by how much numbers of each token may be too low, or nothing where no one need ask."""

    @abstractmethod
    def values(self, tile: Tensor, rows: slice) -> Float[Tensor, "rows n_latents"]:
        """Return the pre-activations that the numbers of a tile stand for."""

    def largest(self, k: int) -> Found:
        """Return at least the k largest positive ones of every row."""
        return self._join([(rows.start, largest_of_rows(tile, k, self.slack(rows))) for rows, tile in self.tiles()])

    def above(self, *, least: float = 0.0, limit: int = 0) -> Found | None:
        """Return all positive ones at or above `least`, or nothing where there are more than `limit` (0: no limit)."""
        parts: list[tuple[int, Tensor]] = []
        total = 0
        for rows, tile in self.tiles():
            parts.append((rows.start, at_least(tile, self.number(least, rows))))
            total += len(parts[-1][1])
            if limit and total > limit:
                return None
        return self._join(parts)

    def level(self, k: float) -> float:
        """Return the value above which, in the first tile, k per row lie; zero where fewer are positive."""
        rows, tile = next(self.tiles())
        count = min(max(int(k * len(tile)), 1), tile.numel())
        return max(float(self.values(tile, rows).flatten().topk(count, sorted=False).values.min()), 0.0)

    def _join(self, parts: list[tuple[int, Tensor]]) -> Found:
        flat = torch.cat([places + start * self.n_latents for start, places in parts])
        rows = torch.div(flat, self.n_latents, rounding_mode="floor")
        return Found(rows.int(), (flat - rows * self.n_latents).int())


class Buffers:
    """Memory that is used again and again."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def room(self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a matrix of some size with anything in it; the next of that name overwrites it."""
        kept = self._kept.get(name)
        if kept is None or kept.dtype != dtype or kept.shape[1] != shape[1] or len(kept) < shape[0]:
            kept = self._kept[name] = torch.empty(*shape, dtype=dtype, device=device)
        return kept[: shape[0]]


def tile_slices(n_tokens: int, n_latents: int, tile_rows: int) -> Iterator[slice]:
    """Yield runs of tokens whose pre-activations exist together."""
    step = min(tile_rows, max(_TILE // n_latents, 1))
    for start in range(0, n_tokens, step):
        yield slice(start, min(start + step, n_tokens))


def largest_of_rows(
    tile: Shaped[Tensor, "rows n_latents"], k: int, slack: Int[Tensor, " rows"] | None = None
) -> Int[Tensor, " found"]:
    """Return flat places of at least the k largest positive entries of every row, and of those within its slack.

    The k-th largest of the maxima of many blocks is at most the k-th largest entry, so all above it are enough.
    """
    rows, n_latents = tile.shape
    if tile.device.type != "cpu":
        chosen = tile.topk(k, dim=1, sorted=False).indices
        return (chosen + torch.arange(rows, device=tile.device)[:, None] * n_latents).flatten()
    bits = _ordered(tile)
    size = _block_size(n_latents, k)
    maxima = bits.view(rows, size, n_latents // size).amax(1).numpy()
    least = np.partition(maxima, -k, axis=1)[:, -k]
    if slack is not None:
        least = least - slack.numpy()
    return torch.from_numpy(np.flatnonzero(bits.numpy() >= np.maximum(least, 1)[:, None]))


def at_least(tile: Shaped[Tensor, "rows n_latents"], least: float | Int[Tensor, " rows"]) -> Int[Tensor, " found"]:
    """Return flat places of the positive entries at or above `least`, of the whole tile or of each row."""
    if isinstance(least, Tensor):
        return torch.from_numpy(np.flatnonzero(tile.numpy() >= np.maximum(least.numpy(), 1)[:, None]))
    if tile.device.type != "cpu":
        return ((tile > 0) & (tile >= least)).flatten().nonzero().flatten()
    lowest = _ordered(torch.tensor(least).to(tile.dtype)).item()
    return torch.from_numpy(np.flatnonzero(_ordered(tile).numpy() >= max(lowest, 1)))


def _ordered(tile: Tensor) -> Tensor:
    """Return integers that order like the positive numbers of a tile."""
    return tile.view(_BITS[tile.dtype]) if tile.is_floating_point() else tile


def _block_size(n_latents: int, k: int) -> int:
    size = _LARGEST_BLOCK
    while size > 1 and (n_latents % size or n_latents // size < _BLOCKS_PER_PLACE * k):
        size //= 2
    return size
