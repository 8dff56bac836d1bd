# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""How much of the activations a dictionary gives back: FVU, cosine, length, and the bias of the reconstruction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.errors import NonFiniteActivations
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.statistics.clustered_ratio import RatioEstimate, clustered_ratio

_TINY = 1e-6
"""Length under which an activation has no direction."""
_ROUNDING = 1e-9
"""Spread over length of the activations under which their variance is rounding."""


class Reconstruction(NamedTuple):
    """Figures over all tokens; intervals count groups."""

    fvu: RatioEstimate
    cosine: MeanEstimate
    """Mean cosine of activation and reconstruction, over tokens that have a length."""
    norm_ratio: MeanEstimate
    """Mean length of the reconstruction over that of the activation: under 1 is shrinkage."""
    bias: float | None
    """Mean squared length of reconstructions over their mean inner product with activations: 1 is none.

    Source: Rajamanoharan et al. 2024 ("Improving Dictionary Learning with Gated Sparse Autoencoders", equation 10).
    """
    squared_error: float
    """Per token, summed over coordinates."""
    explained_per_token: float | None
    """Mean over tokens of 1 - error / distance from the mean of its block: what SAEBench calls the legacy figure."""
    norm_in: float
    norm_out: float
    n_tokens: int


class ReconstructionSum:
    """Takes blocks of tokens and holds what the figures need: a few numbers per token, a vector per group."""

    def __init__(self, n_groups: int, width: int) -> None:
        self.width = width
        self._sums = torch.zeros(n_groups, width, dtype=torch.float64)
        self._squares, self._errors = (np.zeros(n_groups) for _ in range(2))
        self._counts = np.zeros(n_groups, dtype=np.int64)
        self._shift: Tensor | None = None
        self._tokens: list[NDArray[np.float64]] = []
        self._groups: list[NDArray[np.int64]] = []
        self._inner = self._made = 0.0
        self._legacy: list[NDArray[np.float64]] = []

    def add(
        self, target: Float[Tensor, "token width"], made: Float[Tensor, "token width"], groups: NDArray[np.int64]
    ) -> None:
        """Take some tokens; `groups` are their groups, from 0.

        Raises:
            NonFiniteActivations: An activation or a reconstruction is not finite.
        """
        wanted, given = target.detach().double().cpu(), made.detach().double().cpu()
        if not (wanted.isfinite().all() and given.isfinite().all()):
            raise NonFiniteActivations("An activation or its reconstruction is not finite.")
        if self._shift is None:
            self._shift = wanted.mean(0)
        shifted = wanted - self._shift  # a mean that is large against the spread would cost the variance its digits
        errors = (given - wanted).pow(2).sum(1)
        self._sums.index_add_(0, torch.from_numpy(groups), shifted)
        np.add.at(self._squares, groups, shifted.pow(2).sum(1).numpy())
        np.add.at(self._errors, groups, errors.numpy())
        np.add.at(self._counts, groups, 1)
        inner, norms = (given * wanted).sum(1), torch.stack([wanted.norm(dim=1), given.norm(dim=1)])
        self._inner, self._made = self._inner + float(inner.sum()), self._made + float(norms[1].pow(2).sum())
        self._tokens.append(torch.cat([inner[None], norms]).numpy())
        self._groups.append(groups)
        around = (wanted - wanted.mean(0)).pow(2).sum(1)
        self._legacy.append((1 - errors[around > 0] / around[around > 0]).numpy())

    @property
    def mean(self) -> Float[Tensor, " width"]:
        """Mean activation of all tokens so far, float64."""
        assert self._shift is not None
        return self._sums.sum(0) / int(self._counts.sum()) + self._shift

    def figures(self) -> Reconstruction:
        """Return the figures of everything that was taken; the variance is around the mean of these tokens.

        Raises:
            TooFewGroups: There are tokens of fewer than two groups, or they do not vary.
        """
        own = self._counts > 0
        counts, sums = self._counts[own], self._sums.numpy()[own]
        mean = sums.sum(0) / counts.sum()
        variance = self._squares[own] - 2 * sums @ mean + counts * float(mean @ mean)
        inner, norm_in, norm_out = np.concatenate(self._tokens, axis=1)
        if variance.sum() <= counts.sum() * (_ROUNDING * norm_in.max(initial=0.0)) ** 2:
            variance = np.zeros_like(variance)  # refused by the ratio, in its words
        groups = np.concatenate(self._groups)
        long = norm_in > _TINY
        lengths = norm_in[long] * norm_out[long]
        cosines = np.divide(inner[long], lengths, out=np.zeros_like(lengths), where=lengths > 0)
        legacy = np.concatenate(self._legacy)
        return Reconstruction(
            fvu=clustered_ratio(self._errors[own], variance, np.flatnonzero(own)),
            cosine=clustered_mean(cosines, groups[long]),
            norm_ratio=clustered_mean(norm_out[long] / norm_in[long], groups[long]),
            bias=self._made / self._inner if self._inner > 0 else None,
            squared_error=float(self._errors.sum() / counts.sum()),
            explained_per_token=float(legacy.mean()) if legacy.size else None,
            norm_in=float(norm_in.mean()),
            norm_out=float(norm_out.mean()),
            n_tokens=int(counts.sum()),
        )
