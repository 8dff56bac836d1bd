"""The numbers a grade is made from, each with the rows that it was computed on and where it came from.

A record checks itself when it is made: a number that is not finite or lies outside its own interval never reaches a
grade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from interp_lab.contracts.base import Provenance
from interp_lab.errors import InvalidRequest, NonFiniteInput
from interp_lab.evidence.reasons import Reason


@dataclass(frozen=True, slots=True)
class Reading:
    """The association of one latent on one part of the split."""

    auroc: float
    low: float
    high: float
    q: float
    """Corrected over all latents tested on explore rows, over all latents promoted on confirm rows."""
    n_positive_groups: int
    n_negative_groups: int
    rows: frozenset[str] = field(repr=False)
    """Content keys of the groups; empty if an imported record does not say."""

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite or not ordered."""
        _require_ordered("AUROC", self.low, self.auroc, self.high)
        _require_finite("q", self.q)

    @property
    def sign(self) -> int:
        """+1, -1 or 0: which class is higher."""
        return (self.auroc > 0.5) - (self.auroc < 0.5)


@dataclass(frozen=True, slots=True)
class AdjustedReading:
    """What control for surface properties leaves of a reading on the same rows."""

    auroc: float
    low: float
    high: float
    separable: bool

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite or not ordered."""
        _require_ordered("adjusted AUROC", self.low, self.auroc, self.high)


@dataclass(frozen=True, slots=True)
class AssociationEvidence:
    """Everything correlational that is known of one latent and one criterion."""

    explore: Reading
    confirm: Reading | None
    adjusted: AdjustedReading | None
    """On the confirm rows; None if nothing was controlled for."""
    solved_by: tuple[str, ...] = ()
    """Surface properties that alone solve the dataset."""
    words_solve: bool = False
    """Whether a bag of words alone solves it."""
    provenance: Provenance = "measured"


@dataclass(frozen=True, slots=True)
class Effect:
    """Edit effect minus control effect on one part of the split, positive if more of the latent raises the metric."""

    difference: float
    low: float
    high: float
    q: float | None
    """Corrected over all effects tested together; None if an imported record lacks it."""
    n_groups: int
    rows: frozenset[str] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite or not ordered."""
        _require_ordered("effect", self.low, self.difference, self.high)
        if self.q is not None:
            _require_finite("q", self.q)

    @property
    def sign(self) -> int:
        """+1 or -1 if the interval excludes the control effect, else 0."""
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True, slots=True)
class InterventionEvidence:
    """One edit of the latent: its effect where it was found and where it was confirmed, and what else it moved."""

    edit: str
    explore: Effect
    confirm: Effect | None
    side_effect: float | None
    """Upper bound of the shift on negatives, in the metric's unit; None if an imported record lacks it."""
    side_effect_bound: float
    """The largest side effect that was stated as acceptable."""
    metric_can_move: bool
    provenance: Provenance
    flaws: tuple[Reason, ...] = ()
    """What keeps its numbers, whatever they are, from grading anything."""

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite."""
        _require_finite("side effect bound", self.side_effect_bound)
        if self.side_effect is not None:
            _require_finite("side effect", self.side_effect)


def _require_ordered(name: str, low: float, value: float, high: float) -> None:
    for number in (low, value, high):
        _require_finite(name, number)
    if not low <= value <= high:
        raise InvalidRequest(f"The {name} {value} lies outside its own interval [{low}, {high}].")


def _require_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise NonFiniteInput(f"The {name} of an evidence record is {value}.")
