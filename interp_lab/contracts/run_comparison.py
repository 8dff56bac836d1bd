"""Two reports of one question side by side: what changed in the inputs, and what that did to ranks, grades, effects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Grade, Interval
from interp_lab.contracts.intervene import ReportId
from interp_lab.contracts.results import Result


class CompareRunsRequest(Contract):
    """Compare two reports of inspect, or two of intervene."""

    left: ReportId
    """Artifact of one report, for example the earlier."""
    right: ReportId
    """Artifact of the other."""
    allow_different: bool = False
    """Compare also where model or criterion differ; differences are then of questions, not of runs."""
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    """Units to list, those that moved most first."""


class ChangedInput(Contract):
    """One thing that was not the same."""

    what: str
    """Input or setting."""
    left: str
    """There (shortened)."""
    right: str
    """Here (shortened)."""


Over = Literal["every coordinate tested", "described units"]
"""What rankings were compared over."""


class RankAgreement(Contract):
    """How far two rankings agree."""

    n_shared: NonNegativeInt
    """Units that both have."""
    over: Over
    """What was compared."""
    spearman: FiniteFloat | None
    """Rank correlation of the statistic with its sign; absent for fewer than two."""
    top_k: NonNegativeInt
    """How many of the strongest were compared as a set."""
    top_overlap: FiniteFloat | None
    """Share of the top_k that both have."""
    sign_flips: NonNegativeInt
    """Units with opposite sign."""


class UnitDrift(Contract):
    """One unit in both reports."""

    unit: str
    """Its name."""
    left_grade: Grade
    """Grade there."""
    right_grade: Grade
    """Grade here."""
    left_value: FiniteFloat
    """AUROC on confirm prompts, or effect."""
    right_value: FiniteFloat
    """The same here."""
    unit_of_value: str
    """What it is measured in."""
    difference: FiniteFloat
    """Right less left."""
    interval: Interval | None
    """Of the difference; without 0 the two runs differ by more than their own uncertainty."""


class CompareRunsResult(Result):
    """What is the same, what is not."""

    kind: Literal["inspect", "intervene"]
    """What the two reports are."""
    same_question: bool
    """Model, its weights and criterion are the same."""
    changed: tuple[ChangedInput, ...]
    """Inputs and settings that differ; empty for a repetition."""
    agreement: RankAgreement
    """Of the rankings."""
    n_grade_changes: NonNegativeInt
    """Shared units whose grade differs."""
    n_beyond_uncertainty: NonNegativeInt
    """Shared units whose difference leaves 0 out; one in twenty does by chance alone."""
    n_left_only: NonNegativeInt
    """Described there only."""
    n_right_only: NonNegativeInt
    """Described here only."""
    units: tuple[UnitDrift, ...]
    """Shared units, those that moved most first."""
