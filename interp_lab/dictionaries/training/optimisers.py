# pyright: standard
"""Steps along gradients, block by block: fused Adam, and the sign of the momentum.

Not `torch.optim.Optimizer`: that wants all gradients at once, and making one loads the compiler, 80 MB of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam

from interp_lab.contracts.dictionaries import TrainingConfig
from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.gradients import Gradients, blocks


class Part(NamedTuple):
    """Some rows of one parameter with all that belongs to them."""

    weights: Tensor
    gradient: Tensor
    moments: Sequence[Tensor]


class Optimiser(ABC):
    """Moves parameters in place and keeps what it remembers of their gradients."""

    moments: ClassVar[tuple[str, ...]]

    def __init__(self, parameters: Parameters, training: TrainingConfig) -> None:
        self._parameters = parameters
        self.training = training
        self.state: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}

    def move(self, gradients: Gradients, *, rate: float, factor: float) -> None:
        """Take one step of size `rate` along the gradients times `factor`, which are used up."""
        for name, parameter in self._parameters.items():
            # not before the first step: whoever hands over first weights still holds them until then
            state = self.state[name] = self.state[name] or self._fresh(parameter)
            state["step"] += 1.0
            for rows in blocks(parameter):
                gradient = gradients.of(name, rows)
                if factor != 1.0:
                    gradient.mul_(factor)
                part = Part(parameter[rows], gradient, [state[each][rows] for each in self.moments])
                self._move(part, state["step"], rate)

    @abstractmethod
    def _move(self, part: Part, step: Tensor, rate: float) -> None: ...

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        return {"step": step, **{each: torch.zeros_like(parameter) for each in self.moments}}


class Adam(Optimiser):
    """Adam in one pass over weights, gradient and both moments.

    Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1.
    """

    moments = ("exp_avg", "exp_avg_sq")

    def _move(self, part: Part, step: Tensor, rate: float) -> None:
        beta1, beta2 = self.training.betas
        first, second = ([each] for each in part.moments)
        before = [step - 1.0]  # it counts up by itself
        adam(
            [part.weights], [part.gradient], first, second, [], before, fused=True, amsgrad=False,
            beta1=beta1, beta2=beta2, lr=rate, weight_decay=0.0, eps=self.training.epsilon, maximize=False,
        )  # fmt: skip


class Signum(Optimiser):
    """Moves every weight by the learning rate against the sign of its momentum.

    Source: Bernstein et al. 2018 (arXiv 1802.04434), algorithm 2.
    """

    moments = ("momentum",)

    def _move(self, part: Part, step: Tensor, rate: float) -> None:  # noqa: ARG002
        (momentum,) = part.moments
        momentum.lerp_(part.gradient, 1.0 - self.training.betas[0])
        part.weights.add_(momentum.sign(), alpha=-rate)


OPTIMISERS: Mapping[str, type[Optimiser]] = {"adam": Adam, "signum": Signum}
"""By the name that a configuration gives."""
