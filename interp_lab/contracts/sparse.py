"""What can be set when a world of sparse features is drawn."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from interp_lab.contracts.base import Contract, Probability


class DictionaryDials(Contract):
    """What can be set when a sparse world is drawn; the defaults are a small SynthSAEBench."""

    features: Annotated[int, Field(ge=8, le=1_000_000)] = 256
    """True features."""
    width: Annotated[int, Field(ge=4, le=16_384)] = 64
    """Width of the activations: fewer than features means superposition."""
    rows: Annotated[int, Field(ge=16, le=10_000_000)] = 4096
    """Activations that are written."""
    zipf: Annotated[FiniteFloat, Field(gt=0)] = 0.5
    """Exponent of the firing probabilities over the rank."""
    probabilities: tuple[Probability, Probability] = (0.4, 5e-4)
    """Firing probability of the most and of the least frequent feature."""
    roots: NonNegativeInt = 8
    """Roots of the hierarchy; 0 for none."""
    branching: Annotated[int, Field(ge=2)] = 4
    """Children of every parent."""
    depth: PositiveInt = 2
    """Levels below the roots."""
    exclusive: Probability = 1.0
    """Share of parents whose children exclude each other."""
    scaled: bool = True
    """Whether a child's value is multiplied by its parent's over the parent's mean."""
    compensated: bool = True
    """Whether probabilities are raised against what the hierarchy takes away; deep features still fire less often."""
    rank: NonNegativeInt = 25
    """Rank of the correlation of firing; 0 for none."""
    correlation: Annotated[FiniteFloat, Field(ge=0)] = 0.1
    """Scale of that correlation."""
    orthogonal_steps: NonNegativeInt = 100
    """Steps of gradient descent that push the directions apart."""
    orthogonal_rate: Annotated[FiniteFloat, Field(gt=0)] = 3e-4
    """Learning rate of those steps."""
    means: tuple[FiniteFloat, FiniteFloat] = (5.0, 4.0)
    """Mean magnitude of the first and of the last feature, linear between."""
    deviation: tuple[FiniteFloat, FiniteFloat] = (0.5, 0.5)
    """Mean and deviation of the folded normal that each feature's own deviation is drawn from."""
    bias: FiniteFloat = 0.5
    """Norm of the constant part."""
    exclusive_share: Probability = 0.25
    """Crosscoder worlds: share of features that only one of the two models has."""
