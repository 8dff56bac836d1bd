"""What evaluate_sae says of a crosscoder only; and the estimate, of which every section of its report is made."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract

Subject = Literal["dictionary", "random"]
"""The dictionary, or the random one of the same size and sparsity."""


class Estimate(Contract):
    """A number with its interval and its sample."""

    value: FiniteFloat
    """The number."""
    low: FiniteFloat | None = None
    """Lower end of its 95 % interval; absent where the number has none."""
    high: FiniteFloat | None = None
    """Upper end."""
    unit: str
    """Its unit."""
    n: NonNegativeInt
    """How many tokens, prompts, latents or features it is over; the unit of the section says which."""
    n_groups: NonNegativeInt | None = None
    """Independent groups that the interval counts."""


class AddressRow(Contract):
    """How much of the activations at one address of a crosscoder comes back."""

    place: str
    """Address, with its model where there are several."""
    subject: Subject
    """Whose figures."""
    fvu: Estimate
    """Fraction of variance unexplained there."""
    cosine: Estimate
    """Mean cosine of activation and reconstruction there."""


class OwnersSection(Contract):
    """Whose the latents of a crosscoder of two models look, by the lengths of their two decoder rows.

    A latent is one model's from nine tenths of the length on, and shared between 0.3 and 0.7. An L1 penalty makes
    latents look exclusive that are not: diff_models asks the activations.
    """

    first: str
    """Address of the first model."""
    second: str
    """Address of the second."""
    n_first: NonNegativeInt
    """Latents that look to be the first model's alone."""
    n_shared: NonNegativeInt
    """Latents of both."""
    n_between: NonNegativeInt
    """Latents that are clearly neither."""
    n_second: NonNegativeInt
    """Latents that look to be the second model's alone."""
