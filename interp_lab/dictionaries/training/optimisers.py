# pyright: standard
"""Steps along gradients: fused Adam, and the sign of the momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from interp_lab.contracts.dictionaries import TrainingConfig


class Signum(Optimizer):
    """Moves every weight by the learning rate against the sign of its momentum.

    Source: Bernstein et al. 2018 (arXiv 1802.04434), algorithm 2.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: ARG002
        """Move the weights."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1.0 - group["momentum"])
        parameter.add_(momentum.sign(), alpha=-group["lr"])


def make_optimiser(parameters: Iterable[Tensor], training: TrainingConfig) -> Optimizer:
    """Return the optimiser that the configuration names."""
    if training.optimiser == "signum":
        return Signum(parameters, training.learning_rate, training.betas[0])
    return Adam(parameters, lr=training.learning_rate, betas=training.betas, eps=training.epsilon, fused=True)
