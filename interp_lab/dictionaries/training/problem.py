# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What one step is about: the data in training units, the rule, and the numbers that both paths share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.architectures import ARCHITECTURES
from interp_lab.dictionaries.architectures.base import Architecture, Moment
from interp_lab.dictionaries.parameters import Parameters
from interp_lab.dictionaries.training.gradients import Gradients


@dataclass(frozen=True)
class Problem:
    """One batch and all that its loss depends on except the weights."""

    config: DictionaryConfig
    x: Float[Tensor, "batch d_in"]
    target: Float[Tensor, "batch d_out"]
    moment: Moment
    dead: Tensor | None = None
    """Indices of dead latents, if they are to be revived in this step."""
    aux_coefficient: float = 0.0
    aux_k: int = 0
    unit_rows: bool = False
    """Whether decoder rows are known to have length 1, so that nothing need be weighted by it."""

    @property
    def rule(self) -> Architecture:
        """The architecture."""
        return ARCHITECTURES[self.config.architecture]

    @property
    def aux_weight(self) -> float:
        """Weight of the revival, less where fewer latents are dead than may take part."""
        n_dead = 0 if self.dead is None else len(self.dead)
        return self.aux_coefficient * min(n_dead / self.aux_k, 1.0) if n_dead else 0.0

    def centred(self, parameters: Parameters) -> Tensor:
        """Return what the encoder reads."""
        return self.x - parameters["b_dec"] if self.config.apply_b_dec_to_input else self.x

    def wanted(self, parameters: Parameters, centred: Tensor) -> Tensor:
        """Return what the codes alone have to reconstruct: the target without b_dec and skip connection."""
        wanted = centred if self.config.apply_b_dec_to_input else self.target - parameters["b_dec"]
        return wanted - self.x @ parameters["skip"].T if "skip" in parameters else wanted

    def variance(self, parameters: Parameters, wanted: Tensor | None = None) -> Tensor:
        """Return the variance of the target per token, summed over coordinates; `wanted` saves work where it fits."""
        centred = wanted if wanted is not None and "skip" not in parameters else self.target - parameters["b_dec"]
        flat, mean = centred.flatten(), centred.mean(0)
        return torch.vdot(flat, flat) / len(centred) - torch.vdot(mean, mean)


class Losses(NamedTuple):
    """The parts of one step's loss, each a mean over tokens; errors are summed over coordinates."""

    error: Tensor
    """Squared error of the reconstruction; of nested groups, that of all latents together."""
    nested: Tensor
    """Squared errors of the smaller prefixes of nested groups."""
    penalty: Tensor
    gate: Tensor
    """Squared error of the reconstruction from gates."""
    revival: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return torch.stack(list(self)).sum()


class Outcome(NamedTuple):
    """What a step's loss and its gradients are."""

    gradients: Gradients
    losses: Losses
    fired: Tensor
    """How many tokens each latent fired on, `(n_latents,)`."""
    least_active: float | None = None
    """Smallest code times decoder length that still fired."""
    variance: Tensor | float = 0.0
    """Of the target, per token, summed over coordinates."""
