# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
"""JumpReLU: every latent above its own learned threshold fires, and every firing costs the same.

Source: Rajamanoharan et al. 2024 (arXiv 2407.14435), sections 3 and 4: squared error + λ · L0; both steps have a
pseudo-gradient towards the threshold, estimated with a rectangle of the given bandwidth. The paper trains the logarithm
of the threshold; here, as in SAELens since 6, the threshold itself is trained and kept at or above zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import TrainingConfig
from interp_lab.dictionaries.architectures.base import Architecture, Chosen, Moment, Pull
from interp_lab.dictionaries.parameters import Parameters


class JumpRelu(Architecture):
    """Every latent above its threshold."""

    name = "jumprelu"
    choice = "above"
    vectors = ("b_enc", "threshold")

    def initial(self, n_latents: int, training: TrainingConfig) -> Parameters:
        """Return zero biases and equal thresholds."""
        return {"b_enc": torch.zeros(n_latents), "threshold": torch.full((n_latents,), training.initial_threshold)}

    def floor(self, parameters: Parameters, moment: Moment) -> Tensor:
        """Return where the threshold's kernel begins: below it nothing pulls on anything."""
        return parameters["threshold"] - moment.bandwidth / 2

    def infer(self, pre: Tensor, parameters: Parameters, k: float | None) -> Tensor:
        """Return the pre-activations above the thresholds."""
        return pre.relu() * (pre > parameters["threshold"])

    def codes(self, pre: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return the pre-activations above the thresholds, with the pseudo-gradient of the jump."""
        return _Jump.apply(pre, parameters["threshold"], moment.bandwidth)

    def penalty(self, pre: Tensor, codes: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return λ times the mean number of active latents, with the pseudo-gradient of the step."""
        active: Tensor = _Step.apply(pre, parameters["threshold"], moment.bandwidth)
        return moment.sparsity * active.sum(-1).mean()

    def values(self, chosen: Chosen, parameters: Parameters) -> Tensor:
        """Return the pre-activations above the thresholds."""
        return chosen.pre * (chosen.pre > parameters["threshold"][chosen.latents])

    def pull(self, chosen: Chosen, upstream: Tensor, parameters: Parameters, moment: Moment) -> Pull:
        """Return the gradients of active pairs, and of those within the kernel towards the threshold."""
        rate = moment.sparsity / moment.n_tokens
        latents, pre = chosen
        threshold = parameters["threshold"][latents]
        active = pre > threshold
        near = _kernel(pre, threshold, moment.bandwidth)
        towards_pre = upstream * active
        extras = {"b_enc": towards_pre, "threshold": -near * (threshold * upstream + rate)}
        return Pull(towards_pre, rate * active.sum(), extras)


def _kernel(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    return (((pre - threshold) / bandwidth).abs() < 0.5) / bandwidth


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        pre, threshold = ctx.saved_tensors
        near = _kernel(pre, threshold, ctx.bandwidth)
        return gradients[0] * (pre > threshold), -(threshold * near * gradients[0]).sum(0), None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        pre, threshold = ctx.saved_tensors
        return None, -(_kernel(pre, threshold, ctx.bandwidth) * gradients[0]).sum(0), None
