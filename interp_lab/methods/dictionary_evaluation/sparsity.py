# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""How many latents fire, and how often each does: L0, densities, and the latents at both ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean

DENSE = 0.1
"""Share of tokens above which a latent is called dense."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_STEPS_PER_DECADE = 2

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class DensityHistogram(NamedTuple):
    """How many latents fire how often, in bins of half a decade."""

    edges: tuple[float, ...]
    """Shares of tokens, ascending; the first is at most one token in all."""
    counts: tuple[int, ...]
    """Latents from each edge up to the next; those that never fired are in none."""


class Sparsity(NamedTuple):
    """Figures over all tokens; intervals count groups."""

    l0: MeanEstimate
    l0_quantiles: tuple[float, ...]
    """Active latents per token at `QUANTILES`."""
    l1: float
    """Sum of the codes per token."""
    density: Floats
    """Share of tokens on which each latent fires."""
    per_prompt: Floats
    """Tokens per prompt on which a latent fires, over the prompts on which it does; 0 where it never fires."""
    histogram: DensityHistogram
    unfired: Counts
    """Latents that fired on none of these tokens."""
    dense: Counts
    """Latents that fired on more than `DENSE` of them."""
    n_tokens: int
    n_groups: int


class SparsitySum:
    """Takes blocks of sparse codes and holds two counts per latent and one number per token."""

    def __init__(self, n_latents: int) -> None:
        self._fired = np.zeros(n_latents, dtype=np.int64)
        self._in_prompts = np.zeros(n_latents, dtype=np.int64)
        self._per_token: list[Counts] = []
        self._groups: list[Counts] = []
        self._total = 0.0
        self._pairs: list[Counts] = []

    def add(
        self,
        indptr: Int[Tensor, " token_and_one"],
        latents: Int[Tensor, " pair"],
        values: Float[Tensor, " pair"],
        *,
        groups: Counts,
        prompts: Counts,
    ) -> None:
        """Take the codes of some tokens, with the group and the prompt of each token."""
        per_token = indptr.diff().cpu().numpy().astype(np.int64)
        own = latents.long().cpu().numpy()
        self._fired += np.bincount(own, minlength=self._fired.size)
        self._per_token.append(per_token)
        self._groups.append(groups)
        self._total += float(values.double().sum())
        self._pairs.append(np.unique(np.repeat(prompts, per_token) * self._fired.size + own))

    def figures(self) -> Sparsity:
        """Return the figures of everything that was taken.

        Raises:
            TooFewGroups: There are tokens of fewer than two groups.
        """
        per_token, groups = np.concatenate(self._per_token), np.concatenate(self._groups)
        n_tokens = int(per_token.size)
        density = self._fired / n_tokens
        pairs = np.unique(np.concatenate(self._pairs)) % self._fired.size
        in_prompts = np.bincount(pairs, minlength=self._fired.size)
        l0 = clustered_mean(per_token, groups)
        return Sparsity(
            l0=l0,
            l0_quantiles=tuple(float(q) for q in np.quantile(per_token, QUANTILES)),
            l1=self._total / n_tokens,
            density=density,
            per_prompt=self._fired / np.maximum(in_prompts, 1),
            histogram=density_histogram(density, n_tokens),
            unfired=np.flatnonzero(self._fired == 0),
            dense=np.flatnonzero(density > DENSE),
            n_tokens=n_tokens,
            n_groups=l0.n_groups,
        )


def density_histogram(density: Floats, n_tokens: int) -> DensityHistogram:
    """Return the histogram of the densities that are not zero, from one token in `n_tokens` to all of them."""
    lowest = int(np.floor(np.log10(1 / n_tokens) * _STEPS_PER_DECADE))
    edges = 10.0 ** (np.arange(lowest, 1) / _STEPS_PER_DECADE)
    counts, _ = np.histogram(density[density > 0], bins=np.append(edges[:-1], 1.0))
    return DensityHistogram(tuple(float(e) for e in edges), tuple(int(c) for c in counts))
