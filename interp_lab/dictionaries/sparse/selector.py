# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Scores of a batch in the precision that its candidates are chosen in."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.dictionaries.sparse.integer_scores import integer_scores
from interp_lab.dictionaries.sparse.selection import Buffers, Reader, Scores, tile_slices


class Selector:
    """Makes the scores of a batch; what the scores of the batch before were made of is overwritten."""

    def __init__(self, dtype: torch.dtype, tile_rows: int) -> None:
        self.dtype = dtype
        self._tile_rows = tile_rows
        self._buffers = Buffers()

    def scores(self, x: Float[Tensor, "batch d_in"], reader: Reader, *, compete: bool = True) -> Scores:
        """Return the scores of every token; in 8 bits only where latents compete, and where 8 bits can tell them."""
        dtype = self.dtype
        if dtype == torch.int8:
            found = integer_scores(x, reader, self._buffers, self._tile_rows) if compete else None
            if found is not None:
                return found
            dtype = torch.bfloat16
        return _FloatScores(x, reader, self._scaled(reader, dtype), (self._buffers, self._tile_rows))

    def _scaled(self, reader: Reader, dtype: torch.dtype) -> Tensor:
        """Return the encoder in the precision of the choice, rows times their lengths."""
        encoder, lengths = reader.encoder, reader.lengths
        if lengths is None and encoder.dtype == dtype:
            return encoder
        found = self._buffers.room("encoder", encoder.shape, dtype, encoder.device)
        for start in range(0, len(encoder), self._tile_rows):
            rows = slice(start, start + self._tile_rows)
            found[rows] = encoder[rows] if lengths is None else encoder[rows] * lengths[rows, None]
        return found


class _FloatScores(Scores):
    """Scores as floating-point numbers."""

    def __init__(self, x: Tensor, reader: Reader, encoder: Tensor, tiling: tuple[Buffers, int]) -> None:
        self._x, self._encoder = x, encoder
        self._buffers, self._tile_rows = tiling
        bias = reader.bias if reader.lengths is None else reader.bias * reader.lengths
        self._bias = bias.to(encoder.dtype)
        self.n_latents = len(encoder)

    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield tokens and their scores."""
        for rows in tile_slices(len(self._x), self.n_latents, self._tile_rows):
            x = self._x[rows].to(self._encoder.dtype)
            buffer = self._buffers.room("tile", (len(x), self.n_latents), x.dtype, x.device)
            yield rows, torch.addmm(self._bias, x, self._encoder.t(), out=buffer)

    def number(self, score: float, rows: slice) -> float:  # noqa: ARG002
        """Return the score itself."""
        return score

    def slack(self, rows: slice) -> None:
        """Return nothing: rounding is far smaller than what parts candidates."""

    def values(self, tile: Tensor, rows: slice) -> Tensor:  # noqa: ARG002
        """Return the scores in float32."""
        return tile.float()
