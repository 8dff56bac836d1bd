# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""From logits to one number per prompt: a difference of logits, or how near they are to those of the whole model."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.batches import TokenBatch
from interp_lab.engine.components.attribution import Metric
from interp_lab.engine.intervention.measures import Behaviour


def logit_difference(batch: TokenBatch, behaviour: Behaviour) -> Metric:
    """Return the metric: mean logit of the targets less that of the alternatives, at the last token."""
    last = batch.mask.sum(1) - 1
    targets, alternatives = list(behaviour.targets), list(behaviour.alternatives)

    def metric(logits: Float[Tensor, "batch pos n_vocab"]) -> Float[Tensor, " batch"]:
        final = logits[torch.arange(len(last), device=logits.device), last]
        return final[:, targets].mean(-1) - final[:, alternatives].mean(-1)

    return metric


def nearness(
    batch: TokenBatch,
    whole: Float[Tensor, "batch pos n_vocab"],
    *,
    kind: Literal["kl", "squared_error"],
    positions: Literal["last", "every"],
) -> Metric:
    """Return the metric: minus the mean distance from the whole model's logits; 0 is the whole model itself.

    `kl` is the divergence from the whole model's predictions, in nats; `squared_error` the mean over the vocabulary.
    """
    read = batch.mask.float()
    if positions == "last":
        read = torch.nn.functional.one_hot(batch.mask.sum(1) - 1, batch.mask.shape[1]).float()
    reference = whole.log_softmax(-1)

    def metric(logits: Float[Tensor, "batch pos n_vocab"]) -> Float[Tensor, " batch"]:
        if kind == "kl":
            distance = (reference.exp() * (reference - logits.log_softmax(-1))).sum(-1)
        else:
            distance = (logits - whole).pow(2).mean(-1)
        return -(distance * read).sum(1) / read.sum(1)

    return metric
