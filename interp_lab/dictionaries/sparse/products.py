# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Products over chosen (token, latent) pairs: dots, sums over a token's latents, sums over a latent's tokens.

Pairs come row-major (by token). `LatentMajor` sorts them by latent, because a latent's weights are then read once and
in order: on a CPU that is half the time of the same dots by token.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

_MAX_UINT16 = 1 << 16


class LatentMajor(NamedTuple):
    """The same pairs, sorted by latent."""

    order: Int[Tensor, " pairs"]
    """Places of the pairs in row-major order."""
    latents: Int[Tensor, " pairs"]
    rows: Int[Tensor, " pairs"]
    offsets: Int[Tensor, " n_latents_and_one"]
    """Where each latent's pairs begin."""

    def run(self, latents: slice) -> tuple[slice, Tensor]:
        """Return which pairs belong to a run of latents, and where each one's begin among them."""
        offsets = self.offsets[latents.start : None if latents.stop is None else latents.stop + 1]
        pairs = slice(int(offsets[0]), int(offsets[-1]))
        return pairs, offsets - pairs.start


def latent_major(rows: Int[Tensor, " pairs"], latents: Int[Tensor, " pairs"], n_latents: int) -> LatentMajor:
    """Return the pairs sorted by latent, within a latent by token."""
    order = _stable_order(latents, n_latents)
    return LatentMajor(order, latents.index_select(0, order), rows.index_select(0, order), starts(latents, n_latents))


def starts(indices: Int[Tensor, " pairs"], count: int) -> Int[Tensor, " count_and_one"]:
    """Return where each index's run begins among the sorted indices, and the end of the last."""
    found = torch.zeros(count + 1, dtype=torch.int32, device=indices.device)
    torch.cumsum(torch.bincount(indices, minlength=count), 0, out=found[1:])
    return found


def dots(
    by_latent: Float[Tensor, "n_latents width"], by_row: Float[Tensor, "rows width"], pairs: LatentMajor
) -> Float[Tensor, " pairs"]:
    """Return the inner product of each pair's two vectors, latent-major."""
    _allow_compressed_rows()
    empty = torch.zeros(len(pairs.rows), dtype=by_latent.dtype, device=by_latent.device)
    shape = (len(by_latent), len(by_row))
    pattern = torch.sparse_csr_tensor(pairs.offsets, pairs.rows, empty, shape, check_invariants=False)
    return torch.sparse.sampled_addmm(pattern, by_latent, by_row.t(), beta=0.0).values()


def gathered_sum(
    source: Float[Tensor, "n width"], indices: Int[Tensor, " pairs"], offsets: Tensor, weights: Float[Tensor, " pairs"]
) -> Float[Tensor, "bags width"]:
    """Return for each bag of pairs the weighted sum of the rows of `source` that they name."""
    return functional.embedding_bag(
        indices, source, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def segment_sum(values: Float[Tensor, " pairs"], offsets: Tensor) -> Float[Tensor, " bags"]:
    """Return the sum of each bag of values."""
    return torch.segment_reduce(values, "sum", offsets=offsets.long(), initial=0.0)


def _stable_order(latents: Tensor, n_latents: int) -> Tensor:
    if latents.device.type == "cpu" and n_latents <= _MAX_UINT16:
        # numpy sorts 16-bit integers by counting: thirty times faster than a comparison sort
        return torch.from_numpy(np.argsort(latents.numpy().astype(np.uint16), kind="stable"))
    return torch.argsort(latents, stable=True)


@cache
def _allow_compressed_rows() -> None:
    """Torch calls compressed sparse rows beta once per process; said here, it does not reach the job's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))
