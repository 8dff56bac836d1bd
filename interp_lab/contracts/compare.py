"""Compare two models as it is asked and answered: which units of one are units of the other. Report included."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Probability, Seed
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.inspect_evidence import EvidenceArgument
from interp_lab.contracts.inspect_report import ModelFacts, ReasonCode, RunFacts
from interp_lab.contracts.intervene import ReportId
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.points import Address

COMPARISON_KIND: Final = "comparison"

Component = Literal["activation", "direction", "promoted_tokens", "explanation", "effect"]
"""What may be alike: responses to prompts; directions through a fitted map; words promoted; words said of the units;
measured effects."""


class Side(Contract):
    """One of the two models, and where to look in it."""

    model: ModelArgument
    """Model."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=200)] = ()
    """Where to look; empty means resid_post of every layer, or nothing but the dictionaries if there are any."""
    dictionaries: Annotated[tuple[DictionaryRef, ...], Field(max_length=50)] = ()
    """Dictionaries whose latents are compared."""
    evidence: EvidenceArgument | None = None
    """Values on disk instead of running the model: 'store:ID', 'records:FILE'; prompts go together by their text."""
    report: ReportId | None = None
    """Report of inspect on this model and these prompts: the units that it describes are the ones compared."""
    interventions: tuple[ReportId, ...] = ()
    """Reports of intervene on this model and these prompts; give both sides the same targets."""
    explanations: tuple[ReportId, ...] = ()
    """Artifacts of explain_latent that say something of these latents."""

    @model_validator(mode="after")
    def _reads_one_thing(self) -> Self:
        if self.evidence is not None and (self.addresses or self.dictionaries):
            raise ValueError("addresses and dictionaries are read from a model; evidence has columns")
        if self.report is not None and self.addresses:
            raise ValueError("a report says which addresses it is about")
        return self


def _side_from_text(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


SideArgument = Annotated[Side, BeforeValidator(_side_from_text, json_schema_input_type=Side | str)]
"""A side: the id of a model alone, or an object that also says where to look."""


class CompareRequest(JobRequest):
    """Find the units of one model that are units of another, on the same prompts, each with a p-value."""

    left: SideArgument = Field(examples=["builtin:pocket-gpt2"])
    """Model whose units are looked for; or {model, addresses, dictionaries, interventions}."""
    right: SideArgument = Field(examples=["builtin:pocket-llama"])
    """Model in which they are looked for."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument | None = Field(default=None, examples=["builtin:measurement-unit"])
    """Anchor prompts that both models read; absent if values on disk bring them."""
    matches: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """Pairs to test instead of choosing some: the artifact of a comparison, or a file, its matches.json or a peer's."""
    by: Literal["responses", "effects"] = "responses"
    """What chooses and tests pairs: when units are active, or what taking them away does to words that both know."""
    n_controls: Annotated[int, Field(ge=2, le=60, multiple_of=2)] = 16
    """By effects: random edits of the same size beside every edit, half of them opposites of the others."""
    n_transfers: Annotated[int, Field(ge=0, le=20)] = 3
    """By effects: pairs whose left direction is carried to the right model and steered there, the closest first."""
    n_units: Annotated[int, Field(ge=1, le=100)] = 10
    """Units of each side to match: those that follow the criterion best on explore prompts."""
    pooling: Pooling = "max"
    """How token values become one value per prompt."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    text_encoder: ModelArgument | None = None
    """Sentence encoder on this machine by which explanations are compared; left out, by the words they share."""
    n_permutations: Annotated[int, Field(ge=99, le=100_000)] = 999
    """Exchanges of prompts behind every p-value."""
    seed: Seed = 0
    """Seed of the explore/confirm split and of every exchange."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.left == self.right:
            raise ValueError("left and right are the same; compare two models, or two places of one")
        if self.by == "effects" and (self.left.evidence is not None or self.right.evidence is not None):
            raise ValueError("only models that are run can be edited; values on disk have responses alone")
        if self.dataset is None and self.left.evidence is None and self.right.evidence is None:
            raise ValueError("give a dataset for the models to read, or evidence, which brings its own prompts")
        return self


class ComparedUnit(Contract):
    """One unit of one side."""

    address: str
    """Address in canonical form; for a latent with the dictionary behind a slash."""
    index: NonNegativeInt
    """Coordinate within the address."""
    auroc: FiniteFloat
    """Association with the criterion on confirm prompts, as measured."""
    promoted: tuple[str, ...]
    """Tokens that its direction promotes (untrusted text); empty where it has none."""
    explanation: str | None = None
    """What was said of it (untrusted text), best graded first."""
    effect: FiniteFloat | None = None
    """Measured effect on the behaviour, from the interventions named; positive if more of it raises the metric. By
    effects: change of shared words' logits along what explore prompts showed."""
    effect_confirmed: bool | None = None
    """Whether that effect exceeds its control on confirm prompts."""


class Transfer(Contract):
    """A left direction, carried to the right model by the fitted map and added there; on confirm positives."""

    held_out_r2: FiniteFloat
    """Variance of confirm prompts that the map explains."""
    similarity: FiniteFloat
    """Correlation over shared words of what it does there with what the direction does in the left model."""
    interval: tuple[FiniteFloat, FiniteFloat]
    """95 %, over resampled prompt groups."""
    p_value: Probability
    """Larger share of exchanged words, or of random directions of the same size, that do as well."""
    q_value: Probability | None = None
    """Benjamini-Hochberg over the directions carried."""
    control: FiniteFloat
    """Mean similarity of random directions of the same size."""
    closest_control: FiniteFloat
    """That of the closest of them."""
    n_controls: PositiveInt
    """How many there were."""


class Match(Contract):
    """One pair, chosen on explore prompts and tested on confirm prompts."""

    left: ComparedUnit
    """Unit of the left model."""
    right: ComparedUnit
    """Its counterpart."""
    kind: Literal["one_to_one", "nearest", "imported"]
    """Of the best assignment, the nearest of a unit whose assigned one is another, or named in a file."""
    similarity: FiniteFloat
    """Of residual responses to confirm prompts, within label, surface taken out; by effects, of the change of every
    shared word's logit when the unit is taken away. A correlation; its sign counts."""
    interval: tuple[FiniteFloat, FiniteFloat]
    """95 %, over resampled prompt groups."""
    p_prompts: Probability
    """Share of exchanges of prompts, by effects of words, that do as well."""
    p_units: Probability
    """Share of all units of the right model, by effects of random edits in either place, that are as close."""
    responses: FiniteFloat | None = None
    """By effects: correlation of residual responses, which had no part in the test."""
    transfer: Transfer | None = None
    """What became of the left direction in the right model."""
    q_value: Probability
    """Benjamini-Hochberg over every pair tested, of the larger of the two."""
    direction_cosine: FiniteFloat | None = None
    """Cosine of the left direction carried over by a fitted map; absent where the map does not hold."""
    promoted_overlap: FiniteFloat | None = None
    """Share of promoted tokens in common; absent without an unembedding on either side."""
    explanation_cosine: FiniteFloat | None = None
    """Cosine of what was said of both, as text_encoder has it; absent where nothing was said of one."""
    effect_agrees: bool | None = None
    """Whether confirmed effects have the same sign, turned by the sign of the similarity; absent without both."""
    left_out: tuple[Component, ...]
    """What could not be compared; never counted for or against."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[ReasonCode, ...]
    """Why."""


class DirectionMap(Contract):
    """The linear map from the left residual stream to the right one."""

    left: str
    """Address it reads."""
    right: str
    """Address it predicts."""
    held_out_r2: FiniteFloat
    """Variance of confirm prompts that it explains beyond their mean."""


class ComparisonReport(Contract):
    """The whole comparison."""

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    headline: str
    """One sentence that is true when quoted alone."""
    criterion: str
    """As asked."""
    left: ModelFacts
    """Left model."""
    right: ModelFacts
    """Right model."""
    dataset: str
    """Name of the anchor prompts."""
    dataset_sha256: str
    """Their hash."""
    n_explore: NonNegativeInt
    """Prompts that chose pairs."""
    n_confirm: NonNegativeInt
    """Prompts that tested them."""
    n_groups: NonNegativeInt
    """Groups of confirm prompts."""
    n_right_units: PositiveInt
    """Units of the right model that each pair had to be closer than."""
    maps: tuple[DirectionMap, ...]
    """Fitted maps."""
    by: Literal["responses", "effects"] = "responses"
    """What chose and tested pairs."""
    n_words: NonNegativeInt | None = None
    """Words that both models have as one token, on which pairs were tested; as many others chose them."""
    imported: str | None = None
    """File whose pairs were tested; absent where pairs were chosen here."""
    text_encoder: str = ""
    """What compared explanations: shared words, or a sentence encoder with its files' hash. Never two in one report."""
    matches: tuple[Match, ...]
    """Pairs, the closest first."""
    unmatched: tuple[ComparedUnit, ...]
    """Units of the left model without a match at q ≤ 0.05."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How it came about."""


class ShortMatch(Contract):
    """One pair in the short form."""

    left: str
    """Address and index."""
    right: str
    """Address and index."""
    similarity: FiniteFloat
    """See the report."""
    interval: tuple[FiniteFloat, FiniteFloat]
    """95 %."""
    q_value: Probability
    """Over every pair tested."""
    direction_cosine: FiniteFloat | None = None
    """Through the fitted map."""
    promoted_overlap: FiniteFloat | None = None
    """Share of promoted tokens in common."""
    explanation_cosine: FiniteFloat | None = None
    """Of the words said of both."""
    effect_agrees: bool | None = None
    """Signs of confirmed effects."""
    left_effect: FiniteFloat | None = None
    """Measured on the left, if it exceeds its control; by effects, change along what explore prompts showed."""
    right_effect: FiniteFloat | None = None
    """On the right; of the same behaviour unless effect is among what was left out."""
    transfer: Transfer | None = None
    """What the left direction does in the right model."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes."""


class CompareResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    left: str
    """Left model."""
    right: str
    """Right model."""
    n_groups: NonNegativeInt
    """Groups of confirm prompts."""
    n_tested: NonNegativeInt
    """Pairs tested."""
    n_matched: NonNegativeInt
    """Of these with q ≤ 0.05."""
    matches: tuple[ShortMatch, ...]
    """The closest first."""


class ComparePlan(Contract):
    """What a comparison would do and cost."""

    n_prompts: NonNegativeInt | None
    """Prompts that each model reads; absent where values on disk bring them."""
    n_pairs_at_most: NonNegativeInt
    """Pairs tested."""
    n_edited: NonNegativeInt | None = None
    """By effects: edited runs of both models together, without transfers."""
    least_q: Probability
    """Smallest q that so many exchanges can show."""
    advisories: tuple[str, ...]
    """What to consider before running it."""
