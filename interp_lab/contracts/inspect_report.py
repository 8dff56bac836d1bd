"""The report of an inspection: every number with its sample, every coordinate with its grade, and how it came about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, NonNegativeInt, model_validator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Interval, Probability, Provenance, Seed
from interp_lab.contracts.hypothesis_outcome import HypothesisOutcome
from interp_lab.contracts.inspect_causal import CausalEdit
from interp_lab.contracts.inspect_handles import Handles
from interp_lab.contracts.pooling import Pooling


class Measured(Contract):
    """A number with its unit, its sample and its uncertainty."""

    value: FiniteFloat
    """The number."""
    unit: str
    """Its unit."""
    n_prompts: NonNegativeInt
    """Prompts that it rests on."""
    n_groups: NonNegativeInt
    """Independent groups that it rests on."""
    interval: Interval | None = None
    """Its uncertainty."""


class ReasonCode(Contract):
    """One machine-readable reason for a grade or a flag."""

    code: str
    """Stable code."""
    text: str
    """The same in words, with the numbers."""


class ContextToken(Contract):
    """One token as shown to a reader, with the coordinate's value there."""

    text: str
    """Untrusted text from the prompt, made printable."""
    value: FiniteFloat
    """Value of the coordinate at this token."""
    in_span: bool = False
    """Whether the token lies in a labelled span."""


class Context(Contract):
    """A prompt on which the coordinate is strong, token by token."""

    prompt_id: str
    """Id of the prompt."""
    positive: bool
    """Whether the prompt is a positive."""
    pooled: FiniteFloat
    """The pooled value that ranks this prompt."""
    truncated_before: NonNegativeInt = 0
    """Tokens left out before the shown window."""
    truncated_after: NonNegativeInt = 0
    """Tokens left out after the shown window."""
    tokens: Annotated[tuple[ContextToken, ...], Field(min_length=1)]
    """The shown window."""
    peak: NonNegativeInt
    """Place among the shown tokens of the one that decides the pooled value, or weighs most in it."""

    @model_validator(mode="after")
    def _peak_is_shown(self) -> Context:
        if self.peak >= len(self.tokens):
            raise ValueError("the peak must be one of the shown tokens")
        return self


class SplitStatistics(Contract):
    """Association statistics of one coordinate on one split of the prompts."""

    split: Literal["explore", "confirm"]
    """Which half of the prompts."""
    auroc: Measured
    """Area under the ROC curve, 0.5 = no association; above 0.5 means higher on positives."""
    cohens_d: FiniteFloat | None
    """Standardised mean difference, positives minus negatives; absent where neither class varies."""
    point_biserial_r: FiniteFloat
    """Correlation of the pooled value with the label."""
    firing_rate_positive: Probability
    """Share of positives on which the pooled value is above zero."""
    firing_rate_negative: Probability
    """Share of negatives on which the pooled value is above zero."""
    p_value: Probability
    """Two-sided, with prompt groups as the unit."""
    q_value: Probability | None = None
    """Benjamini-Hochberg over every coordinate tested in this run."""


class Specificity(Contract):
    """How the coordinate relates to something other than the criterion."""

    label: str
    """Another label with its value, or a kind of negative."""
    auroc: FiniteFloat
    """As measured: above 0.5 = higher where the label holds, or on positives than on that kind of negative."""
    n_prompts: NonNegativeInt
    """Prompts compared."""


class CoordinateCard(Contract):
    """Everything measured about one coordinate of one address."""

    rank: Annotated[int, Field(ge=1)]
    """Place by distance from AUROC 0.5 on explore prompts."""
    address: str
    """Address in canonical form; for a latent with the dictionary behind a slash."""
    index: NonNegativeInt
    """Coordinate within the address, counted from 0."""
    name: str | None = None
    """What the source calls it, where it names its features (untrusted text)."""
    sign: Literal[-1, 1]
    """1: higher on positives; -1: lower."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[ReasonCode, ...]
    """Why that grade."""
    explore: SplitStatistics
    """On the prompts that chose it."""
    confirm: SplitStatistics | None
    """On prompts that had no part in choosing it; absent if there were too few."""
    density: Probability
    """Share of tokens with a value above zero, over all prompts."""
    controlled_auroc: FiniteFloat | None
    """AUROC left on the confirm prompts after the confounds were controlled for, as measured: above 0.5 = higher on
    positives."""
    specificity: tuple[Specificity, ...]
    """The same statistic for other labels and for kinds of negatives."""
    specificity_margin: FiniteFloat | None = None
    """How much farther its AUROC is from 0.5 for the criterion than for any other label, on the same prompts; below 0
    another label fits better; absent if there is none."""
    contexts: tuple[Context, ...]
    """The prompts on which it is strongest."""
    provenance: Provenance = "measured"
    """Where the numbers come from."""
    causal: tuple[CausalEdit, ...] = ()
    """Interventions on it that the run was given."""
    association_grade: Grade | None = None
    """What the association alone would be graded; absent if no intervention was given."""


class LayerRow(Contract):
    """One address in the profile over depth."""

    address: str
    """Address in canonical form."""
    n_coordinates: NonNegativeInt
    """Its width."""
    best_index: NonNegativeInt
    """Its strongest coordinate on explore prompts."""
    best_auroc: FiniteFloat
    """On explore prompts, folded so that 0.5 is none and 1 is perfect."""
    best_confirm_auroc: FiniteFloat | None
    """The same coordinate on confirm prompts, with the sign that explore chose; below 0.5 the sign flipped."""
    n_significant: NonNegativeInt
    """Coordinates with q below the level on explore prompts."""


class Confound(Contract):
    """What a property of the dataset itself reaches without any model."""

    name: str
    """Property of the text."""
    auroc: Measured
    """Folded: how well this property alone tells positives from negatives."""
    flagged: bool
    """It alone tells positives from negatives."""
    text: str
    """The same in words."""


class ConfoundAudit(Contract):
    """The dataset looked at before anything is ranked."""

    flagged: bool
    """A property of the surface alone solves the dataset: no association on it can be trusted. A bag of words does not
    count: it limits claims to words."""
    confounds: tuple[Confound, ...]
    """Every property that was looked at, strongest first."""


class DatasetFacts(Contract):
    """The prompts that the numbers rest on."""

    name: str
    """Where the prompts come from."""
    sha256: str
    """Hash over every field of every prompt."""
    n_prompts: NonNegativeInt
    """Prompts."""
    n_positive: NonNegativeInt
    """Prompts at or above the threshold."""
    n_negative: NonNegativeInt
    """Prompts below it."""
    n_groups: NonNegativeInt
    """Independent groups of prompts."""
    n_tokens: NonNegativeInt
    """Tokens, special ones not counted."""
    n_explore: NonNegativeInt
    """Prompts that rank."""
    n_confirm: NonNegativeInt
    """Prompts that confirm."""


class ModelFacts(Contract):
    """The model that was looked into."""

    id: str
    """As asked."""
    revision: str | None
    """Commit of a hub model."""
    architecture: str | None
    """Class of the model; absent, like all that is not recorded, if it was not loaded."""
    n_layers: NonNegativeInt | None
    """Number of blocks."""
    d_model: NonNegativeInt | None
    """Width of the residual stream."""
    n_parameters: NonNegativeInt | None
    """Number of parameters."""
    dtype: str
    """Number format it ran in, or that the values have."""
    device: str
    """Where it ran."""
    weights_sha256: str | None
    """Hash over the names and contents of the model's files; absent for a hub model, whose revision says the same."""
    source: str | None = None
    """What was read instead of running the model."""


class RunFacts(Contract):
    """How the numbers came about."""

    job_id: str | None
    """Job that made the report."""
    code_version: str
    """Hash over the source."""
    packages: dict[str, str]
    """Installed versions."""
    seed: Seed
    """Seed of every random choice."""
    started_at: AwareDatetime
    """When it started."""
    seconds: FiniteFloat
    """How long it took."""
    checks: dict[str, str]
    """Self-checks of this model and what they found."""


class MapCell(Contract):
    """How many coordinates lie in one cell of the map of association against q."""

    auroc: FiniteFloat
    """Middle of the cell, on explore prompts."""
    log_q: FiniteFloat
    """Middle of the cell: -log10 of q, cut at 12."""
    n: NonNegativeInt
    """Coordinates in it."""


class InspectReport(Contract):
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
    pooling: Pooling
    """From tokens to one value per prompt."""
    n_tested: NonNegativeInt
    """Coordinates tested, over all addresses."""
    n_significant: NonNegativeInt
    """Coordinates with q at or below the level on explore prompts."""
    q_level: Probability
    """False discovery rate."""
    ranking_stability: Measured | None
    """Rank agreement of the association over split halves of the groups."""
    detectable_auroc: FiniteFloat | None
    """Smallest confirm AUROC that this many groups would have shown with 80 % power."""
    audit: ConfoundAudit
    """What the dataset itself gives away."""
    layers: tuple[LayerRow, ...]
    """One row per address."""
    coordinates: tuple[CoordinateCard, ...]
    """The strongest coordinates, described, and then those that the given interventions edited."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    handles: Handles | None = None
    """Single coordinates beside sets, directions and a probe."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""
    hypothesis: HypothesisOutcome | None = None
    """What was registered beforehand, and what came."""
    association_map: tuple[MapCell, ...] = ()
    """Every coordinate tested, counted by AUROC and q on explore prompts."""
