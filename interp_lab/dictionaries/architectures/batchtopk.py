# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
"""BatchTopK: of a whole batch, the k · tokens largest pre-activations fire; afterwards a threshold stands for them.

Source: Bussmann et al. 2024 (arXiv 2412.06410), sections 3 and 3.1 (the threshold: mean of the least active value).
"""

from __future__ import annotations

import torch
from torch import Tensor

from interp_lab.dictionaries.architectures.base import Moment
from interp_lab.dictionaries.architectures.topk import TopK
from interp_lab.dictionaries.parameters import Parameters, decoder_norms


class BatchTopK(TopK):
    """On average k latents of a token."""

    name = "batchtopk"
    choice = "per_batch"

    def infer(self, pre: Tensor, parameters: Parameters, k: float | None) -> Tensor:
        """Return the pre-activations above the threshold."""
        return pre.relu() * (pre > parameters["threshold"])

    def codes(self, pre: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return the largest of the batch, the others zero."""
        weighted = (pre * decoder_norms(parameters["decoder"].detach(), (parameters["decoder"].shape[1],))).relu()
        chosen = weighted.flatten().topk(int((moment.k or 1) * len(pre)), sorted=False).indices
        kept = torch.zeros_like(pre).flatten().scatter(0, chosen, pre.flatten().gather(0, chosen).relu())
        return kept.view_as(pre)
