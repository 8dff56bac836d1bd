# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
"""ReLU with an L1 penalty weighted by decoder length: the plain sparse autoencoder.

Source: Bricken et al. 2023 ("Towards Monosemanticity"); the weighting by decoder length is that of Anthropic's update
of April 2024, and of crosscoders (Lindsey et al. 2024). Loss: squared error + λ · Σ code · length, mean over tokens.
"""

from __future__ import annotations

from torch import Tensor

from interp_lab.dictionaries.architectures.base import Architecture, Chosen, Moment, Pull
from interp_lab.dictionaries.parameters import Parameters, decoder_norms


class Relu(Architecture):
    """Every latent above zero fires."""

    name = "relu"
    choice = "above"

    def infer(self, pre: Tensor, parameters: Parameters, k: float | None) -> Tensor:
        """Return the positive part."""
        return pre.relu()

    def codes(self, pre: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return the positive part."""
        return pre.relu()

    def penalty(self, pre: Tensor, codes: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return λ times the mean sum of codes, each times the length of its decoder row."""
        return moment.sparsity * (codes @ decoder_norms(parameters["decoder"], moment.widths)).mean()

    def values(self, chosen: Chosen, parameters: Parameters) -> Tensor:
        """Return the positive part."""
        return chosen.pre.relu()

    def pull(self, chosen: Chosen, upstream: Tensor, parameters: Parameters, moment: Moment) -> Pull:
        """Return the gradients of the active pairs."""
        rate = moment.sparsity / moment.n_tokens
        norms = decoder_norms(parameters["decoder"], moment.widths)[chosen.latents]
        codes = chosen.pre.relu()
        towards_pre = (upstream + rate * norms) * (chosen.pre > 0)
        return Pull(towards_pre, rate * (codes @ norms), {"b_enc": towards_pre}, norm_weight=rate * codes)
