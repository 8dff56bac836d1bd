"""trace_paths as it is asked and answered: what units at one address do to units at later ones."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from interp_lab.contracts.base import Contract, Grade, Probability, Seed
from interp_lab.contracts.inspect import Criterion, DictionaryRef, ModelArgument
from interp_lab.contracts.intervene import TokenText, UnitRef
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.path_report import HeldPart, HowScreened, PathPool, PathStatus, ScreenError
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result

MAX_SOURCES: Final = 256
MAX_TARGETS: Final = 1024

Scale = Annotated[FiniteFloat, Field(ge=-20, le=20)]
Scales = Annotated[tuple[Scale, ...], Field(min_length=1, max_length=8)]


class PathRequest(JobRequest):
    """What tracing and validating have in common."""

    dry_run: bool = True
    """Say what would be run and what it costs, and start nothing; false to run it."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model to edit."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:person-name"])
    """Scored prompts."""
    scales: Scales = (-1.0, -0.5, 1.0)
    """Strengths, as multiples of the source's own value that are added at every token: -1 removes it, 1 doubles it.
    The first is graded, the others are the sweep."""
    rest: Literal["zero", "mean"] = "zero"
    """What a coordinate or direction is scaled from; latents rest at zero."""
    pool: PathPool = "mean"
    """How token values of a target become one per prompt."""
    hold: Annotated[tuple[HeldPart, ...], Field(max_length=2)] = ()
    """Parts kept as in the unedited run in a second set of passes, which gives the direct effect."""
    hold_units: Annotated[tuple[UnitRef, ...], Field(max_length=64)] = ()
    """Units in between whose change is taken back in those passes."""
    behaviour: bool = True
    """Also measure the behaviour, as a target called 'output'; false ends every pass at the last target."""
    target_tokens: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words that count as the behaviour, one token each; empty chooses them on explore prompts."""
    alternative_tokens: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words they are compared with; empty chooses them likewise."""
    n_controls: Annotated[int, Field(ge=2, le=50)] = 6
    """Random sources of each kind per source."""
    least_share: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.01
    """Smallest mediated effect that matters, as a share of the target's typical size."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the explore/confirm split and of controls."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Independent processes that share the prompts; the numbers are the same."""

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if len(set(self.scales)) != len(self.scales) or 0.0 in self.scales:
            raise ValueError("scales must differ from each other and from 0")
        return self


class TracePathsRequest(PathRequest):
    """Find what units at one address do to units at later addresses."""

    sources: Annotated[tuple[UnitRef, ...], Field(max_length=MAX_SOURCES)] = ()
    """Units at one address; heads have no single value and cannot be traced."""
    source_dictionary: DictionaryRef | None = None
    """All latents of a dictionary instead; a screen chooses which are measured."""
    targets: Annotated[tuple[UnitRef, ...], Field(max_length=MAX_TARGETS)] = ()
    """Units at later addresses."""
    target_dictionaries: Annotated[tuple[DictionaryRef, ...], Field(max_length=8)] = ()
    """Dictionaries all of whose latents are targets."""
    n_measured: Annotated[int, Field(ge=1, le=MAX_SOURCES)] = 16
    """Sources measured exactly, each on every target, when there are more."""
    screen: Literal["auto", "exact", "gradient"] = "auto"
    """What chooses them: exact effects of all sources, or a gradient estimate and exact effects of those that its
    measured error leaves open. auto is exact where few enough sources are active."""
    top_k: Annotated[int, Field(ge=1, le=50)] = 8
    """Paths to describe."""

    @model_validator(mode="after")
    def _has_ends(self) -> Self:
        if (not self.sources) == (self.source_dictionary is None):
            raise ValueError("name sources, or a source_dictionary")
        if not self.targets and not self.target_dictionaries and not self.behaviour:
            raise ValueError("name targets, or ask for the behaviour")
        if any(unit.head is not None for unit in (*self.sources, *self.targets, *self.hold_units)):
            raise ValueError("a head has no single value, so no path begins or ends at it")
        return self


class PathShort(Contract):
    """One path in short."""

    source: str
    """Where the edit is made."""
    target: str
    """Where it arrives; 'output' is the behaviour."""
    status: PathStatus
    """What was found."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes; the report explains each."""
    mediated: FiniteFloat | None
    """Mean change of the target that the blocks in between make, positive if more of the source raises it; on held-out
    prompts where there are any."""
    interval: tuple[FiniteFloat, FiniteFloat] | None
    """Its 95 % interval over prompt groups."""
    passed_along: FiniteFloat | None
    """What the residual stream alone hands on."""
    direct: FiniteFloat | None
    """Total effect with the named parts held."""
    share: FiniteFloat | None
    """Mediated effect over the typical size of the target."""
    control_ratio: NonNegativeFloat | None
    """Mediated effect over that of random sources of the same size, the strictest kind."""
    q_value: Probability | None
    """Over every pair searched."""
    sign_consistency: Probability | None
    """Share of prompts that move the way of the mean."""
    behaviour: FiniteFloat | None
    """Mean change of the behaviour under the same edit, in logits."""
    n_groups: NonNegativeInt
    """Independent groups of prompts."""


class PathsResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    model: str
    """Id of the model."""
    n_searched: NonNegativeInt
    """Pairs among which the paths were found."""
    n_runs: NonNegativeInt
    """Edited runs."""
    screen: tuple[ScreenError, ...]
    """How far the linear estimate that chose sources lies from exact effects; empty where nothing was screened."""
    target_tokens: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    paths: tuple[PathShort, ...]
    """Strongest first, or in the order claimed."""


class PathPlan(Contract):
    """What a run would do and cost."""

    n_sources: NonNegativeInt | None
    """Sources; absent if a dictionary does not say."""
    n_targets: NonNegativeInt | None
    """Targets of each."""
    n_measured: NonNegativeInt
    """Sources measured exactly."""
    n_prompts: NonNegativeInt
    """Prompts read, upper estimate."""
    n_passes: NonNegativeInt
    """Edited runs from the source's layer on, upper estimate: edits without effect on a prompt are skipped."""
    n_backward: NonNegativeInt
    """Backward runs of the screen, upper estimate."""
    screen: HowScreened | None = None
    """What is expected to choose the measured sources; absent if all are measured."""
    seconds: PositiveFloat | None
    """Estimated time; absent before this model was measured on this machine."""
    seconds_source: str | None
    """What the estimate rests on."""
    peak_bytes: NonNegativeInt | None
    """Upper estimate of the memory at the peak."""
    controls: tuple[str, ...]
    """What it would be compared with."""
    advisories: tuple[str, ...]
    """What to consider before running it."""
