"""Intervene as it is asked and answered: what an edit of a unit does to a behaviour. The report is another file."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, StringConstraints, model_validator

from interp_lab.contracts.base import Contract, Grade, HypothesisId, Probability, Seed
from interp_lab.contracts.inspect import Criterion, DictionaryRef, ModelArgument
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.contracts.scorers import Scorer
from interp_lab.contracts.unit_selection import SmallestFacts, UnitScreen, UnitScreenFacts, UnitSearch
from interp_lab.points import Address

REPORT_KIND: Final = "intervention_report"
MAX_UNITS: Final = 32
MAX_RANK: Final = 50
"""Of a report's coordinates."""

EditName = Literal[
    "ablate_zero", "ablate_mean", "ablate_resample", "suppress", "amplify", "clamp", "steer", "patch"
]  # fmt: skip
"""ablate_*: set to zero, to its mean, or to its value at a random token. suppress, amplify: nearer to or farther from
rest, where active. clamp: hold at a value. steer: add, wherever `where` says. patch: its value in the other prompt of
the pair."""

GRADED_EDITS: Final[frozenset[EditName]] = frozenset({"suppress", "amplify", "clamp", "steer"})
"""Edits that have a strength; the others are made whole."""

EditWhere = Literal["all", "last", "active", "span"]
"""Every token of the text, the last one, those at which the unit is active, or those of the labelled spans."""

Metric = Literal["logit_difference", "log_probability", "kl", "cross_entropy", "downstream", "score"]
"""Mean logit of the targets less that of the alternatives, log-probability of the targets, or divergence from the
unedited prediction, all at the last token; cross-entropy of the prompt's own tokens; value of a later unit; score of
what the model writes."""

ReportId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class UnitRef(Contract):
    """What to edit: a coordinate, a latent of a dictionary, a head, or a direction."""

    address: Address | None = None
    """Where, for example 'resid_post.2'; for a head 'z.LAYER'; not needed for a latent."""
    index: NonNegativeInt | None = None
    """Coordinate of the address, or latent of the dictionary."""
    dictionary: DictionaryRef | None = None
    """Dictionary whose latent it is."""
    head: NonNegativeInt | None = None
    """Head, all its coordinates of z together."""
    direction: Annotated[tuple[FiniteFloat, ...], Field(max_length=65_536)] | None = None
    """Direction at the address; only where it points counts."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)] | None = None
    """What to call it in the answer."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(value is not None for value in (self.index, self.head, self.direction)) != 1:
            raise ValueError("give exactly one of index, head and direction")
        if (self.address is None) == (self.dictionary is None):
            raise ValueError("give an address, or a dictionary with an index")
        if self.dictionary is not None and self.index is None:
            raise ValueError("a latent is named by its index")
        if self.direction is not None and not any(self.direction):
            raise ValueError("a direction must not be zero")
        return self


class InterveneRequest(JobRequest):
    """Edit units of a model and measure what that does to a behaviour, beside controls."""

    plan_id: ReportId | None = None
    """Plan of a dry run: run exactly that, or nothing if something has changed since."""
    dry_run: bool = True
    """Say what would be run, what it costs and what it could show, and start nothing; false to run it."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model to edit."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:measurement-unit"])
    """Scored prompts; with a report, the same."""
    report: ReportId | None = None
    """Artifact of an inspect run whose best coordinates to edit; model, prompts, seed, pooling, threshold as there."""
    ranks: Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_RANK)], ...], Field(max_length=MAX_UNITS)] = (1,)
    """Which of the report's coordinates."""
    units: Annotated[tuple[UnitRef, ...], Field(max_length=MAX_UNITS)] = ()
    """Units named one by one, instead of a report."""
    search: UnitSearch | None = None
    """Latents found by a search, instead."""
    screen: UnitScreen | None = None
    """Units with the largest linear estimate on explore positives, among all of a place, instead."""
    together: bool = False
    """Also edit all units at once, for causes of which any one suffices."""
    alone: bool = True
    """Edit each unit by itself; false, with together, edits them only all at once, at a fraction of the runs."""
    smallest: bool = False
    """With together and without alone: edit only the fewest units whose joint effect explore prompts show to last."""
    edits: Annotated[tuple[EditName, ...], Field(min_length=1, max_length=8)] = ("ablate_zero", "amplify")
    """Which edits."""
    strengths: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0, le=100)], ...], Field(min_length=1, max_length=8)] = (
        1.0,
        2.0,
    )
    """Of edits that have one, in units of the latent's mean active value or the coordinate's standard deviation; of a
    head, shares of itself."""
    where: EditWhere = "all"
    """At which tokens."""
    metric: Metric = "logit_difference"
    """The behaviour."""
    downstream: UnitRef | None = None
    """For metric downstream: the later unit, its token values pooled as `pooling` says."""
    scorer: Scorer | None = None
    """For metric score: what scores the text that is written while the edit is in force."""
    targets: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words that count as the behaviour, each exactly one token (' kilometres' with its space); empty chooses them from
    what the model predicts on explore prompts."""
    alternatives: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words they are compared with; empty chooses them likewise."""
    n_controls: Annotated[int, Field(ge=1, le=20)] = 3
    """Controls of each kind per edit: random directions, matched latents, other heads."""
    side_effect_share: PositiveFloat = 0.5
    """Largest accepted mean shift on negatives, as a share of the effect on positives."""
    least_effect: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.1
    """Smallest effect that matters, as a share of how far prompts lie apart unedited: positives from negatives, or one
    standard deviation, whichever is more."""
    precise_to: Annotated[FiniteFloat, Field(gt=0, le=10)] | None = None
    """Stop confirming once every interval reaches no farther than this to each side, in the measure of least_effect.
    Looks at a quarter of the groups at a time; every interval and p is corrected for all planned looks."""
    pooling: Pooling = "max"
    """How token values become one value per prompt, for the association."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the explore/confirm split, of controls and of resampling."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Independent processes that share the prompts; the numbers are the same."""
    hypothesis: HypothesisId | None = None
    """Registered hypothesis that this run tests; refused if anything differs from what was registered."""

    @property
    def n_doses(self) -> int:
        """Edits, each at every strength that it has."""
        return sum(len(self.strengths) if name in GRADED_EDITS else 1 for name in self.edits)

    @model_validator(mode="after")
    def _names_units(self) -> Self:
        if sum(map(bool, (self.report, self.units, self.search, self.screen))) != 1:
            raise ValueError("name units, or a report, a search or a screen to take them from")
        if not (self.alone or self.together):
            raise ValueError("with alone=false nothing is edited unless together is true")
        if self.smallest and (self.alone or self.shards > 1 or self.n_doses > 1):
            raise ValueError("smallest needs together=true, alone=false, one edit at one strength, and one process")
        if len(set(self.edits)) != len(self.edits) or len(set(self.strengths)) != len(self.strengths):
            raise ValueError("edits and strengths must differ from each other")
        if (self.metric == "downstream") != (self.downstream is not None):
            raise ValueError("metric downstream needs a downstream unit, which belongs to no other metric")
        if self.downstream is not None and self.downstream.head is not None:
            raise ValueError("a head has no single value, so it is no downstream unit")
        if (self.metric == "score") != (self.scorer is not None):
            raise ValueError("metric score needs a scorer, which belongs to no other metric")
        return self


class UnitEffect(Contract):
    """One unit with its grade and the edit that decides it."""

    unit: str
    """Address and index, or the name given."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes; the report explains each."""
    edit: EditName
    """The edit with the clearest effect on explore prompts."""
    strength: FiniteFloat
    """Its strength, chosen on explore prompts."""
    effect: FiniteFloat | None
    """On confirm positives: change of the metric, positive if more of the unit raises it."""
    control: FiniteFloat | None
    """Mean effect of the same edit of controls on the same prompts."""
    beyond_control: tuple[FiniteFloat, FiniteFloat] | None
    """95 % interval of effect less control (or less the smallest effect that matters); without 0 it exceeds both."""
    controls_as_large: Probability | None
    """Share of control edits with at least as large an effect, either way."""
    q_value: Probability | None
    """Over all effects tested on confirm prompts."""
    side_effect: FiniteFloat | None
    """Upper bound of the mean shift on negatives."""
    sign_consistency: Probability | None
    """Share of confirm positives that move the way of the mean."""
    n_groups: NonNegativeInt
    """Independent groups of confirm positives."""


class InterveneResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    model: str
    """Id of the model."""
    metric: Metric
    """The behaviour."""
    targets: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    target_tokens: Literal["given", "chosen"]
    """Given in the request, or chosen from the model's predictions on explore prompts."""
    flags: tuple[str, ...]
    """Why the metric may be unable to move; empty is good."""
    n_runs: NonNegativeInt
    """Edited runs of the model."""
    units: tuple[UnitEffect, ...]
    """In the order asked; all together last."""
    screen: UnitScreenFacts | None = None
    """How far the estimates that chose the units are off."""
    smallest: SmallestFacts | None = None
    """What was left of units edited together."""


class OutcomeGrade(Contract):
    """What would follow from one outcome of the run."""

    if_found: str
    """The outcome."""
    grade: Grade
    """The grade it would give."""


class IntervenePlan(Contract):
    """What a run would do, cost and be able to show."""

    plan_id: str
    """Names this request with these inputs and this version of the software."""
    n_units: NonNegativeInt
    """How many units would be edited."""
    units: tuple[str, ...]
    """What would be edited."""
    edits: tuple[str, ...]
    """Each edit with its strengths."""
    controls: tuple[str, ...]
    """What it would be compared with."""
    n_explore: NonNegativeInt | None
    """Prompts that choose strengths and target tokens; absent for a set too large to split while the caller waits."""
    n_confirm: NonNegativeInt | None
    """Prompts that grade."""
    n_groups: NonNegativeInt | None
    """Independent groups of confirm positives."""
    n_passes: NonNegativeInt
    """Runs of the model, edited ones among them, most of them from the edited layer on only."""
    seconds: PositiveFloat | None
    """Estimated seconds on an otherwise idle processor core; absent before the model is on this machine."""
    seconds_source: str | None
    """What the estimate rests on."""
    peak_bytes: NonNegativeInt | None
    """Estimated memory at the peak."""
    power: FiniteFloat | None
    """Smallest mean effect beyond control, in standard deviations between groups, found with 80 % power."""
    outcomes: tuple[OutcomeGrade, ...]
    """What grade each outcome would give."""
    advisories: tuple[str, ...]
    """What to consider before running it."""
