# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Scores of a batch as sums of products of 8-bit integers, half the time of bfloat16 where a CPU multiplies those.

Every token has a unit of its own, all latents share one, so that within a token sums order like scores. Biases are
columns of their own. What rounding can do to a score is known beforehand, and candidates are sought lower by it:
rounding adds candidates, whose exact scores then decide, and hardly ever loses one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.dictionaries.sparse.selection import Buffers, Reader, Scores, tile_slices

_TOP = 127
_MARGIN = 2.0
"""Standard deviations of the rounding error by which candidates are sought lower."""
_MOST_NOISE = 0.05
"""Rounding error as a share of the spread of a token's scores: above it there would be many candidates too many."""
_SMALLEST = 0.125
"""Tokens smaller than this share of the median one are rounded as coarsely as that."""
_COLUMNS, _MOST_COLUMNS = 4, 32
_SLICE = 512


class _Units(NamedTuple):
    """How integers become scores."""

    token: Float[Tensor, " batch"]
    latent: float
    noise: Float[Tensor, " batch"]
    """Standard deviation of the rounding error of a token's scores, in its units."""


class IntegerScores(Scores):
    """Scores as 32-bit integers in units of each token."""

    def __init__(self, x: Tensor, encoder: Tensor, units: _Units, tiling: tuple[Buffers, int]) -> None:
        self._x, self._encoder, self._units = x, encoder, units
        self._buffers, self._tile_rows = tiling
        self.n_latents = len(encoder)

    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield tokens and their sums of products."""
        for rows in tile_slices(len(self._x), self.n_latents, self._tile_rows):
            x = self._x[rows]
            buffer = self._buffers.room("tile", (len(x), self.n_latents), torch.int32, x.device)
            yield rows, torch.ops.aten._int_mm.out(x, self._encoder.t(), out=buffer)

    def number(self, score: float, rows: slice) -> Tensor:
        """Return the sum of each token that stands for a score, less what rounding may have taken from it."""
        return (score / (self._units.token[rows] * self._units.latent)).int() - self.slack(rows)

    def slack(self, rows: slice) -> Tensor:
        """Return what rounding may have taken from the sums of each token."""
        return (_MARGIN * self._units.noise[rows]).int()

    def values(self, tile: Tensor, rows: slice) -> Tensor:
        """Return the scores that sums stand for."""
        return tile * (self._units.token[rows, None] * self._units.latent)


def integer_scores(
    x: Float[Tensor, "batch d_in"], reader: Reader, buffers: Buffers, tile_rows: int
) -> IntegerScores | None:
    """Return the scores, or nothing where integers of 8 bits would tell them apart too badly."""
    encoder, bias, lengths = reader
    if lengths is None:
        lengths = torch.ones_like(bias)
    square = (torch.linalg.vector_norm(encoder, dim=1) * lengths).square_().mean()
    units = _units(x, float((_largest(encoder) * lengths).max()), float(square))
    if units is None:
        return None
    bias = bias * lengths / (units.latent * units.token.min())
    copies = math.ceil(float(bias.abs().max()) / (_TOP * _TOP) / _COLUMNS) * _COLUMNS
    if copies > _MOST_COLUMNS:
        return None
    width = x.shape[1]
    rounded_x = buffers.room("x", (len(x), width + copies), torch.int8, x.device)
    rounded = buffers.room("encoder", (len(encoder), width + copies), torch.int8, x.device)
    _round(x, 1.0 / units.token, rounded_x)
    _round(encoder, lengths / units.latent, rounded)
    if copies:
        units = units._replace(noise=_with_bias(units, bias, copies))
        # the bias in the units of a token is a product: of how small its unit is, and of the bias in the smallest's
        rounded_x[:, width:] = (_TOP * units.token.min() / units.token).round_()[:, None]
        rounded[:, width:] = (bias / (_TOP * copies)).round_()[:, None]
    return IntegerScores(rounded_x, rounded, units, (buffers, tile_rows))


def _units(x: Tensor, largest: float, square: float) -> _Units | None:
    """Return the units of tokens and of latents whose entries are at most `largest`, in the mean `square` in all."""
    sizes = _largest(x)
    token = torch.maximum(sizes, _SMALLEST * sizes.median()) / _TOP
    latent = largest / _TOP
    if not (latent > 0 and float(token.min()) > 0):
        return None
    squares = torch.linalg.vector_norm(x, dim=1).square_()
    # an error spread evenly over one unit has a variance of 1/12
    noise = ((token.square() * square + latent**2 * squares) / 12.0).sqrt_()
    spread = (squares * square / x.shape[1]).sqrt_()
    if float(noise.median()) > _MOST_NOISE * float(spread.median()):
        return None
    return _Units(token, latent, noise / (token * latent))


def _with_bias(units: _Units, bias: Tensor, copies: int) -> Tensor:
    """Return the noise with what rounding the two factors of the bias adds; the bias is in the smallest units."""
    of_bias = _TOP * copies * units.token.min() / units.token
    return (units.noise.square() + (of_bias.square() + bias.square().mean() / _TOP**2) / 12.0).sqrt_()


def _largest(matrix: Tensor) -> Tensor:
    """Return the largest size of an entry of each row."""
    # two passes: one over both ends at once is twenty times as slow on a CPU
    return torch.maximum(matrix.amax(1), -matrix.amin(1))


def _round(matrix: Tensor, factors: Tensor, found: Tensor) -> None:
    """Write the rows of a matrix times their factors, as the nearest integers, into the first columns of `found`."""
    for start in range(0, len(matrix), _SLICE):
        rows = slice(start, start + _SLICE)
        found[rows, : matrix.shape[1]] = (matrix[rows] * factors[rows, None]).round_()
