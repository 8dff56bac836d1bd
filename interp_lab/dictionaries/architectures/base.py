# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
# ruff: noqa: F722 - jaxtyping shapes
"""What an architecture has to say: which latents fire, what is paid for it, and how both pull on the pre-activations.

Everything an architecture computes is elementwise in pre-activations once the active pairs are chosen, so each says it
twice: over a dense batch with autograd (`codes`, `penalty`: the reference) and over chosen pairs only (`values`,
`pull`: what training runs). Loops, products and optimisers are not here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, TrainingConfig
from interp_lab.dictionaries.parameters import Parameters

Choice = Literal["per_token", "per_batch", "above"]
"""Who competes for a place: latents of one token, of a whole batch, or nobody (all above a floor fire)."""


@dataclass(frozen=True)
class Moment:
    """What the loss depends on besides weights and data, at one step."""

    n_tokens: int
    """Tokens that the loss is a mean over."""
    k: float | None
    sparsity: float
    """Weight of the penalty, warm-up included."""
    bandwidth: float
    widths: tuple[int, ...]


class Chosen(NamedTuple):
    """Chosen pairs, each with its pre-activation."""

    latents: Int[Tensor, " pairs"]
    pre: Float[Tensor, " pairs"]


@dataclass(frozen=True)
class Pull:
    """What the loss of the chosen pairs pulls on, one number per pair."""

    pre: Tensor
    """Gradient towards the pre-activation without the biases."""
    penalty: Tensor
    """The penalty's value, summed."""
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Parameter name → contributions to its gradient, to be summed over tokens."""
    norm_weight: Tensor | None = None
    """Contributions to the gradient towards the length of the decoder row."""


class Architecture(ABC):
    """One rule of firing with its loss."""

    name: ClassVar[ArchitectureName]
    choice: ClassVar[Choice]
    bias: ClassVar[str] = "b_enc"
    """The bias inside the pre-activation that decides what fires."""
    vectors: ClassVar[tuple[str, ...]] = ("b_enc",)
    """Its own trainable vectors."""

    def initial(self, n_latents: int, training: TrainingConfig) -> Parameters:
        """Return the vectors at the start of training."""
        return {name: torch.zeros(n_latents) for name in self.vectors}

    def group_sizes(self, config: DictionaryConfig) -> tuple[int, ...]:
        """Return the sizes of nested groups of latents; one group unless they are nested."""
        return (config.n_latents,)

    def floor(self, parameters: Parameters, moment: Moment) -> Tensor | None:
        """Return the pre-activation below which a latent neither fires nor learns, or nothing for zero."""
        return None

    @abstractmethod
    def infer(self, pre: Float[Tensor, "batch n_latents"], parameters: Parameters, k: float | None) -> Tensor:
        """Return the codes of a finished dictionary."""

    @abstractmethod
    def codes(self, pre: Float[Tensor, "batch n_latents"], parameters: Parameters, moment: Moment) -> Tensor:
        """Return the codes of a training batch, differentiable as the source differentiates them."""

    def penalty(
        self, pre: Float[Tensor, "batch n_latents"], codes: Tensor, parameters: Parameters, moment: Moment
    ) -> Tensor:
        """Return what is paid for activity, differentiable; nothing where the number of active latents is fixed."""
        return pre.new_zeros(())

    @abstractmethod
    def values(self, chosen: Chosen, parameters: Parameters) -> Float[Tensor, " pairs"]:
        """Return the codes of chosen pairs."""

    @abstractmethod
    def pull(self, chosen: Chosen, upstream: Float[Tensor, " pairs"], parameters: Parameters, moment: Moment) -> Pull:
        """Return the gradients of the chosen pairs, given those towards their codes."""

    def gate_codes(self, pre: Tensor) -> Tensor | None:
        """Return codes that must reconstruct the target too, through a decoder that does not learn from it."""
        return None
