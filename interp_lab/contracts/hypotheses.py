"""Hypotheses as they are registered before the run that tests them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, StringConstraints

from interp_lab.contracts.base import Contract, HypothesisId, Seed
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.intervene import ReportId, UnitRef
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result

HypothesisMetric = Literal["auroc", "logit_difference", "log_probability"]
"""auroc: how the unit goes with the criterion (inspect); the others: what an edit does to the behaviour (intervene)."""


class RegisterHypothesisRequest(Contract):
    """Say beforehand what a run will show: which unit, which way, by which measure, how much, on which prompts."""

    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model."""
    criterion: Criterion
    """Criterion, as the confirming run will ask it."""
    unit: UnitRef
    """The unit: a coordinate, a latent, a head or a direction."""
    direction: Literal["raises", "lowers"]
    """raises: more of the unit raises the metric; for auroc, it is higher on positives. lowers: the opposite."""
    metric: HypothesisMetric
    """What is measured."""
    least_effect: Annotated[FiniteFloat, Field(gt=0)]
    """Smallest effect of interest: logits or nats, or AUROC away from 0.5."""
    dataset: PromptArgument = Field(examples=["builtin:measurement-unit"])
    """Prompts of the confirming run."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the explore/confirm split of that run; its confirm prompts will decide."""
    pooling: Pooling = "max"
    """How token values become one value per prompt, for auroc."""
    found_in: ReportId | None = None
    """Inspect report that suggested the unit; reports of this workspace that describe it are found without."""
    note: Annotated[str, StringConstraints(max_length=1000)] = ""
    """Why, in your words."""


class HypothesisRecord(Contract):
    """One line of the registry; never changed, never removed."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    id: HypothesisId
    """SHA-256 over everything else in the record, the hash of the record before it included."""
    previous: HypothesisId | None
    """The record before."""
    registered_at: AwareDatetime
    """When."""
    by: str
    """Who, where the server was told."""
    unit: str
    """The unit, by the id that dossiers use."""
    statement: str
    """In words."""
    model_fingerprint: str
    """What changes when the model's files do."""
    dataset_sha256: str
    """Hash over every field of every prompt."""
    n_positive: int
    """Prompts at or above the threshold."""
    n_confirm_groups: int
    """Independent groups that will decide."""
    request: RegisterHypothesisRequest
    """As asked."""


class RegisterHypothesisResult(Result):
    """What was registered."""

    hypothesis: HypothesisId
    """Name it in the request of the run that tests it."""
    registered_at: AwareDatetime
    """When."""
    statement: str
    """In words."""
    earlier_looks: int
    """Runs of this workspace that already graded this unit on these confirm prompts; each makes the level stricter."""
    n_confirm_groups: int
    """Independent groups that will decide."""
    checked_against: tuple[str, ...]
    """Reports that describe the unit, whose explore prompts are kept apart from the confirm prompts here."""
