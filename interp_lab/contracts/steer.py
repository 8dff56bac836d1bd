"""Steer as it is asked and answered: text with and without a direction, beside controls and beside an instruction."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, StringConstraints, model_validator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Interval, Probability, Seed
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.inspect_report import DatasetFacts, ModelFacts, RunFacts
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result

STEER_KIND: Final = "steer_report"

Scorer = Literal["target_share", "target_any", "target_logit"]
"""Share of the written tokens that are targets; whether any is; or mean logit of the targets less that of the
alternatives for the first new token."""

ArmName = Literal["plain", "steered", "opposite", "random_direction", "instruction"]
"""Unedited; with the direction; with its opposite; with random directions of the same length; unedited with an
instruction before the prompt."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Strength = Annotated[FiniteFloat, Field(ge=-20, le=20)]


class SteerRequest(JobRequest):
    """Generate with and without a steering vector, and measure what it does to the text and what that costs."""

    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model that writes."""
    vector: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] = Field(
        examples=["directions/person-name"]
    )
    """Artifact of make_steering_vector or train_probe, or its folder in the workspace."""
    criterion: Criterion
    """What the text is to show, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:person-name"])
    """Scored prompts; with a vector made from prompts, the same."""
    on: Literal["negatives", "positives", "all"] = "negatives"
    """Which prompts are continued: those without the criterion show whether it can be brought about."""
    strengths: Annotated[tuple[Strength, ...], Field(min_length=1, max_length=12)] = (0.1, 0.2, 0.4, 0.8, 1.6)
    """In units of the mean length of the residual stream where the direction is added."""
    scorer: Scorer = "target_share"
    """What is measured of the text."""
    targets: Annotated[tuple[Word, ...], Field(max_length=50)] = ()
    """Words that count, each one token; empty chooses what the model predicts on explore positives."""
    alternatives: Annotated[tuple[Word, ...], Field(max_length=50)] = ()
    """Words they are compared with by target_logit; empty chooses them likewise."""
    instruction: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """What is written before the prompt instead of steering; by default the criterion as a request."""
    max_new_tokens: Annotated[int, Field(ge=1, le=128)] = 16
    """Tokens to write."""
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] = 0.0
    """0 takes the likeliest token."""
    n_controls: Annotated[int, Field(ge=1, le=20)] = 4
    """Random directions; the one that goes farthest is what must be exceeded."""
    max_prompts: Annotated[int, Field(ge=4, le=500)] = 24
    """Prompts continued in each half, the first of them."""
    perplexity_bound: Annotated[FiniteFloat, Field(gt=1, le=100)] = 2.0
    """Largest accepted perplexity of steered text to the unedited model, as a multiple of that of its own text."""
    pooling: Pooling = "last"
    """How token values become one value per prompt, for the association."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the split, of random directions and of sampling."""

    @model_validator(mode="after")
    def _strengths_differ(self) -> Self:
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError("strengths must differ from each other")
        return self


class Arm(Contract):
    """One way of writing, over the prompts of one half."""

    name: ArmName
    """Which."""
    strength: FiniteFloat
    """In residual norms; 0 where nothing is added."""
    score: FiniteFloat
    """Mean score."""
    gain: FiniteFloat
    """Mean score less that of plain text, prompt by prompt."""
    gain_interval: Interval
    """Its interval over prompt groups."""
    perplexity_ratio: PositiveFloat
    """Perplexity of the text to the unedited model over that of its own text, geometric mean over prompts."""
    kl: FiniteFloat
    """Mean divergence of the first new token from the unedited prediction, in nats."""
    repetition: Probability
    """Share of the text's word pairs that were there before."""


class SteerBeyond(Contract):
    """The chosen strength on confirm prompts, beside its controls."""

    gain: FiniteFloat
    """Gain of the direction."""
    control: FiniteFloat
    """Gain of the random direction that goes farthest the same way."""
    difference: FiniteFloat
    """Gain less control; 0 where it does not exceed it."""
    difference_interval: Interval
    """Leaves 0 out only if the gain exceeds the controls."""
    p_value: Probability
    """Two-sided, over groups."""
    over_instruction: FiniteFloat
    """Score less that of the instruction, prompt by prompt."""
    over_instruction_interval: Interval
    """Its interval: below 0, an instruction does better."""


class Sample(Contract):
    """One prompt with what was written after it (untrusted text)."""

    prompt: str
    """End of the prompt."""
    plain: str
    """Without the direction."""
    steered: str
    """With it."""
    instruction: str
    """After the instruction."""


class SteerReport(Contract):
    """The full report, published as report.json; Markdown and HTML show the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    criterion: str
    """As asked."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    model: ModelFacts
    """The model."""
    dataset: DatasetFacts
    """The prompts."""
    vector: str
    """The direction, as named."""
    direction_sha256: str
    """Hash of its float32 numbers."""
    address: str
    """Where it is added."""
    residual_norm: PositiveFloat
    """One unit of strength, in the model's own values."""
    scorer: Scorer
    """What was measured."""
    targets: tuple[str, ...]
    """Words that count (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    instruction: str
    """What stood before the prompts of that arm."""
    doses: tuple[Arm, ...]
    """Every strength on explore prompts, each followed by a random direction of the same length."""
    strength: FiniteFloat
    """Chosen on explore prompts: the largest gain beyond control among those within the perplexity bound."""
    within_bound: bool
    """Whether any strength was within the bound."""
    saturates_at: FiniteFloat | None
    """Smallest strength with nine tenths of the largest gain; absent if that is the largest tried."""
    breaks_at: FiniteFloat | None
    """Smallest strength whose text is beyond the perplexity bound; absent if none is."""
    arms: tuple[Arm, ...]
    """On confirm prompts, at that strength; empty if there were too few."""
    beyond: SteerBeyond | None
    """The comparison that grades; absent if there were too few confirm prompts."""
    n_prompts: tuple[NonNegativeInt, NonNegativeInt]
    """Continued on explore and on confirm."""
    n_groups: NonNegativeInt
    """Independent groups of the latter."""
    grade: Grade
    """How far the evidence carries that this direction brings the criterion about."""
    reasons: tuple[str, ...]
    """Reason codes."""
    samples: tuple[Sample, ...]
    """Some prompts with their texts (untrusted text)."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""

    @property
    def targets_unseen(self) -> bool:
        """Whether no text of any arm has a target word, so that the arms cannot differ, whatever the direction does."""
        return self.scorer != "target_logit" and bool(self.arms) and all(arm.score == 0 for arm in self.arms)


class SteerResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    address: str
    """Where the direction is added."""
    strength: FiniteFloat
    """Chosen on explore prompts, in residual norms."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes."""
    arms: tuple[Arm, ...]
    """On confirm prompts."""
    beyond: SteerBeyond | None
    """The comparison that grades."""
    saturates_at: FiniteFloat | None
    """Where more adds little."""
    breaks_at: FiniteFloat | None
    """Where the text breaks."""
    samples: tuple[Sample, ...]
    """One or two prompts with their texts (untrusted text)."""


class SteerPlan(Contract):
    """What a run would do."""

    n_explore: NonNegativeInt | None
    """Prompts that choose the strength; absent for a set too large to split while the caller waits."""
    n_confirm: NonNegativeInt | None
    """Prompts that grade."""
    n_texts: NonNegativeInt
    """Texts that would be written, at most."""
    n_tokens: NonNegativeInt
    """Tokens in them, at most."""
    n_passes: NonNegativeInt
    """Runs of the model: a few per text, and one for every token of it."""
    seconds: PositiveFloat | None = None
    """Estimated seconds on an otherwise idle processor core; absent before the model is on this machine."""
    seconds_source: str | None = None
    """What the estimate rests on."""
    peak_bytes: NonNegativeInt | None = None
    """Estimated memory at the peak."""
