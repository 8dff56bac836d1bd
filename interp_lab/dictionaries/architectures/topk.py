# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
"""TopK: of every token, the k largest pre-activations fire.

Source: Gao et al. 2024 (arXiv 2406.04093), section 2.3; negative ones among the k stay silent. Where decoder lengths
are free, latents compete with pre-activation times length, which is what they would have with unit rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interp_lab.dictionaries.architectures.base import Architecture, Chosen, Moment, Pull
from interp_lab.dictionaries.parameters import Parameters, decoder_norms


class TopK(Architecture):
    """Exactly k latents of every token, fewer where fewer are positive."""

    name = "topk"
    choice = "per_token"

    def infer(self, pre: Tensor, parameters: Parameters, k: float | None) -> Tensor:
        """Return the k largest of every row, the others zero."""
        return _keep(pre, pre, int(k or 1))

    def codes(self, pre: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return the k largest of every row, the others zero."""
        weighted = pre * decoder_norms(parameters["decoder"].detach(), (parameters["decoder"].shape[1],))
        return _keep(pre, weighted, int(moment.k or 1))

    def values(self, chosen: Chosen, parameters: Parameters) -> Tensor:
        """Return the positive part."""
        return chosen.pre.relu()

    def pull(self, chosen: Chosen, upstream: Tensor, parameters: Parameters, moment: Moment) -> Pull:
        """Return the gradients of the active pairs."""
        towards_pre = upstream * (chosen.pre > 0)
        return Pull(towards_pre, chosen.pre.new_zeros(()), {"b_enc": towards_pre})


def _keep(pre: Tensor, weighted: Tensor, k: int) -> Tensor:
    chosen = weighted.topk(k, dim=-1, sorted=False).indices
    return torch.zeros_like(pre).scatter(-1, chosen, pre.gather(-1, chosen).relu())
