"""Inspect as it is asked and answered: which coordinates of a model follow a criterion. The report is another file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WrapSerializer,
    model_validator,
)

from interp_lab.contracts.base import Contract, Grade, HypothesisId, Probability, Seed
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.inspect_evidence import DirectionsEvidence, FeaturesEvidence, RankedArgument, SourcePath
from interp_lab.contracts.inspect_handles import HandleComparison
from interp_lab.contracts.inspect_report import LayerRow
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.points import Address

Criterion = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


def _model_from_text(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _model_to_text(value: ModelRef, default: SerializerFunctionWrapHandler) -> Any:
    return value.id if value == ModelRef(id=value.id) else default(value)


ModelArgument = Annotated[
    ModelRef,
    BeforeValidator(_model_from_text, json_schema_input_type=ModelRef | str),
    WrapSerializer(_model_to_text),
]
"""A model: its id alone, or an object that also says revision, dtype and device."""


Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""NAME or NAME=VALUE."""


class AlsoAsked(Contract):
    """One more criterion over the same pass."""

    criterion: Criterion
    """What its positives have."""
    dataset: PromptArgument | None = None
    """Its prompts; absent, those of the first criterion by another label."""
    label: Label | None = None
    """Label of its positives, instead of a high score."""

    @model_validator(mode="after")
    def _asks_something_else(self) -> AlsoAsked:
        if self.dataset is None and self.label is None:
            raise ValueError("a further criterion needs prompts or a label of its own")
        return self


class InspectRequest(JobRequest):
    """Rank every coordinate of the chosen addresses by how well it follows the criterion."""

    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model to look into."""
    criterion: Criterion = Field(examples=["the next token is a measurement unit"])
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument | None = Field(default=None, examples=["builtin:measurement-unit"])
    """Scored prompts, positives and hard negatives: 'builtin:NAME', a JSON Lines file, or
    {'prompts': [{'text': …, 'score': 0 to 1}, …]}. Evidence brings its own."""
    evidence: RankedArgument | None = None
    """Values on disk to rank instead of running the model: 'store:ID' (activation store), 'records:FILE'; or, beside a
    dataset, 'features:FILE' (feature dump, Neuronpedia), 'directions' (contrast directions, a probe)."""
    label: Label | None = None
    """Positives are the prompts with this label, NAME or NAME=VALUE, instead of those that score high."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=200)] = ()
    """Where to look, for example ['resid_post.2', 'mlp_out.3']; empty means resid_post of every layer, or nothing but
    the dictionaries if there are any."""
    dictionaries: Annotated[tuple[DictionaryRef, ...], Field(max_length=50)] = ()
    """Dictionaries whose latents are ranked where each of them reads: artifact ids, or folders of the workspace."""
    pooling: Pooling = "max"
    """How token values become one value per prompt."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives, the others negatives."""
    top_k: Annotated[int, Field(ge=1, le=50)] = 10
    """Coordinates to describe in full; statistics are always over all of them."""
    n_contexts: Annotated[int, Field(ge=1, le=20)] = 6
    """Strongest prompts to show for each described coordinate."""
    seed: Seed = 0
    """Seed of the explore/confirm split and of every resampling."""
    hypothesis: HypothesisId | None = None
    """Registered hypothesis that this run tests."""
    interventions: Annotated[tuple[SourcePath, ...], Field(max_length=20)] = ()
    """Edited runs that grade causes: artifact ids of intervene, or files of intervention records (JSON Lines)."""

    also: Annotated[tuple[AlsoAsked, ...], Field(max_length=9)] = ()
    """Further criteria of the same pass: a report each, q times their number."""

    @model_validator(mode="after")
    def _has_one_source(self) -> InspectRequest:
        if (self.dataset is None) == self.runs_model:
            raise ValueError("give a dataset for the model to read, or evidence, which brings its own prompts")
        learns = isinstance(self.evidence, DirectionsEvidence)
        if self.evidence is not None and (self.dictionaries or (self.addresses and not learns)):
            raise ValueError("addresses and dictionaries are read from a model; evidence has columns")
        if not self.runs_model and self.hypothesis is not None:
            raise ValueError("a hypothesis is registered for a dataset that a model reads, not for evidence on disk")
        self._refuse_mixed_criteria()
        return self

    @property
    def runs_model(self) -> bool:
        """Whether a model reads the prompts; else values were recorded."""
        return self.evidence is None or isinstance(self.evidence, FeaturesEvidence | DirectionsEvidence)

    def _refuse_mixed_criteria(self) -> None:
        asked = [self.criterion, *(one.criterion for one in self.also)]
        if len(set(asked)) != len(asked):
            raise ValueError("every criterion of one request must have words of its own")
        if not self.runs_model and any(one.dataset is not None for one in self.also):
            raise ValueError("evidence brings its own prompts: a further criterion is another label of them")


class RankedCoordinate(Contract):
    """One line of the ranking."""

    rank: int
    """Place on explore prompts."""
    address: str
    """Address in canonical form."""
    index: int
    """Coordinate within the address."""
    sign: Literal[-1, 1]
    """1: higher on positives; -1: lower."""
    grade: Grade
    """How far the evidence carries."""
    explore_auroc: FiniteFloat
    """On the prompts that chose it, in the direction of sign, as all AUROCs of this answer: 0.5 is chance, 1 best."""
    confirm_auroc: FiniteFloat | None
    """On the others, in the same direction; below 0.5 the sign flipped."""
    confirm_interval: tuple[FiniteFloat, FiniteFloat] | None
    """95 % interval of confirm_auroc."""
    n_confirm_groups: int
    """Independent groups that confirm_auroc rests on."""
    q_value: Probability
    """On explore prompts, over every coordinate tested."""
    reasons: tuple[str, ...]
    """Reason codes; the report explains each."""
    top_token: str
    """Of its strongest prompt, the token that decides the pooled value or weighs most in it (untrusted text)."""


class CriterionRow(Contract):
    """One of several criteria that were asked together."""

    criterion: str
    """As asked."""
    report: str
    """Artifact of its report."""
    n_prompts: int
    """Its prompts."""
    n_significant: int
    """Coordinates with q, times the number of criteria, at or below the level."""
    best: str | None
    """Its strongest coordinate, 'ADDRESS #INDEX'."""
    grade: Grade | None
    """How far the evidence for that one carries."""
    confirm_auroc: FiniteFloat | None
    """Of that one, in the direction of explore prompts: 0.5 is chance."""
    confirm_interval: tuple[FiniteFloat, FiniteFloat] | None
    """Its 95 % interval."""
    flagged: bool
    """A confound other than words alone solves its prompts."""


class InspectResult(Result):
    """The short form of the report, small enough to read in one go."""

    criterion: str
    """As asked."""
    model: str
    """Id of the model."""
    n_prompts: int
    """Prompts."""
    n_tested: int
    """Coordinates tested."""
    n_significant: int
    """Coordinates with q at or below the level on explore prompts."""
    dataset_flags: tuple[str, ...]
    """Confounds that alone solve the dataset; empty is good."""
    ranking: tuple[RankedCoordinate, ...]
    """The strongest coordinates."""
    layers: tuple[LayerRow, ...]
    """One row per address; of many, the strongest on explore prompts."""
    best_handle: HandleComparison | None = None
    """Whether one coordinate reads the criterion as well as a set, a direction or a probe."""
    criteria: tuple[CriterionRow, ...] = ()
    """Every criterion, the first among them, where several were asked; the fields above are about the first."""


class InspectPlan(Contract):
    """What an inspection would cost."""

    n_prompts: NonNegativeInt
    """Prompts."""
    n_positive: NonNegativeInt
    """Prompts at or above the threshold."""
    n_negative: NonNegativeInt
    """Prompts below it."""
    n_groups: NonNegativeInt | None
    """Independent groups of prompts, near-duplicates joined; absent for a set too large to compare at once."""
    addresses: tuple[str, ...] | None
    """Where it would look; absent for every layer of a model that is not on this machine yet."""
    dictionaries: tuple[str, ...] = ()
    """Dictionaries whose latents it would rank."""
    n_coordinates: NonNegativeInt | None
    """Coordinates to test, latents of dictionaries among them; absent where the files of the model do not tell."""
    n_criteria: NonNegativeInt = 1
    """Criteria asked of the same pass."""
    n_forward_passes: NonNegativeInt
    """One pass per distinct prompt, batched by length."""
    weight_bytes: NonNegativeInt | None
    """Size of the weight files; absent for a model that is not on this machine yet."""
    peak_bytes: NonNegativeInt | None
    """Memory at the peak, a rough upper estimate: twice the weights, thrice the pooled activations; absent with either
    of them."""
