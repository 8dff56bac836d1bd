"""What a confirming run found of the hypothesis that it names."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, HypothesisId, Probability

Verdict = Literal["confirmed", "not_confirmed", "opposite", "not_measured"]
"""confirmed: on confirm prompts, in the direction said, beyond its control, at the level that its looks leave."""

SizeFound = Literal["at_least", "undecided", "smaller"]
"""Whether an interval lies wholly beyond the smallest effect of interest, holds it, or lies wholly below."""


class HypothesisOutcome(Contract):
    """What was registered, and what came."""

    id: HypothesisId
    """The hypothesis."""
    registered_at: AwareDatetime
    """Before the run."""
    statement: str
    """What was registered, in words."""
    unit: str
    """The unit, as this report calls it."""
    verdict: Verdict
    """What came."""
    size: SizeFound | None
    """How it compares with the smallest effect of interest; absent where nothing was measured."""
    value: FiniteFloat | None
    """What was measured, in the metric's unit."""
    low: FiniteFloat | None
    """Lower end of its 95 % interval."""
    high: FiniteFloat | None
    """Upper end."""
    least_effect: FiniteFloat
    """Smallest effect of interest."""
    q_value: Probability | None
    """Over everything tested together."""
    earlier_looks: NonNegativeInt
    """Runs before this one that graded this unit on the same confirm prompts with other settings."""
    level: Probability
    """Level that q was held to: the stated one over the square of how often the prompts were asked."""
