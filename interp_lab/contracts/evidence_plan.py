"""What to run next: for every claim what is missing, which experiment would move it, how many prompts, at what cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeFloat, NonNegativeInt, model_validator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Probability
from interp_lab.contracts.inspect import Criterion
from interp_lab.contracts.intervene import ReportId
from interp_lab.contracts.results import Result

ExperimentKind = Literal["edit", "other_measure", "doses", "weaker", "other_edit", "more_prompts", "balanced_prompts"]
"""edit: the first intervention. other_measure: a metric that can move. doses: several strengths. weaker: a smaller
one. other_edit: another way of taking the unit away. more_prompts, balanced_prompts: a new prompt set, then the runs
again."""


class PlanEvidenceRequest(Contract):
    """Plan for the claims of one report, or of the dossier of a model and a criterion."""

    report: ReportId | None = None
    """Artifact of an inspect or intervene run; instead of model and criterion."""
    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Id of the model, as in dossier."""
    criterion: Criterion | None = None
    """The criterion, as in dossier."""
    prompt_cost: Annotated[FiniteFloat, Field(ge=0, le=1e6)] = 20.0
    """What one prompt to be written costs, in runs of the model."""
    limit: Annotated[int, Field(ge=1, le=30)] = 5
    """Experiments to return."""

    @model_validator(mode="after")
    def _names_one_thing(self) -> PlanEvidenceRequest:
        if (self.report is None) == (self.model is None and self.criterion is None):
            raise ValueError("give a report, or model and criterion")
        return self


class Experiment(Contract):
    """One experiment for one claim."""

    unit: str
    """Name of the unit."""
    grade: Grade
    """How the claim stands."""
    missing: str
    """Reason code that keeps it there."""
    kind: ExperimentKind
    """What would be done."""
    why: str
    """What it would settle, in words."""
    would_give: Grade
    """Grade if it comes out well."""
    n_groups: NonNegativeInt | None
    """Independent groups of positives needed in all for 80 % power; absent where the prompts there are enough."""
    new_prompts: NonNegativeInt
    """Prompts to be written, both sides."""
    passes: NonNegativeInt
    """Runs of the model; of new prompts their reading, and the edits again where the claim is about an effect."""
    seconds: NonNegativeFloat | None
    """As a dry run estimates them, from earlier runs of this model here; absent where the model is not here."""
    chance: Probability
    """That it comes out well."""
    chance_from: str
    """What that rests on."""
    value: NonNegativeFloat
    """Expected steps of the grade per 1,000 units of cost; see formula."""
    stays_away: FiniteFloat | None = None
    """How far the 95 % interval of what was seen keeps from nothing (AUROC from 0.5, effect beyond control from 0), in
    halves of its width, one scale for both; negative if it holds it. Orders experiments of equal value."""
    call: NextAction | None
    """Ready to be made: with the id of its plan where it was planned here, else a dry run; absent where the prompts
    were given inline and are not kept."""


class PlanEvidenceResult(Result):
    """Experiments by value for cost."""

    criterion: str
    """The criterion."""
    model: str
    """Id of the model."""
    experiments: tuple[Experiment, ...]
    """Best value for cost first; of equal ones that whose interval keeps furthest from nothing."""
    n_experiments: NonNegativeInt
    """How many there are in all."""
    settled: tuple[str, ...]
    """Claims that no further run of this kind would move, each with why."""
    formula: str
    """How value is made of chance, gain and cost."""
