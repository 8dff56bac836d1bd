"""The report of traced or validated paths: every effect with its parts, its controls, its sample and its grade."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Interval, Probability, Provenance
from interp_lab.contracts.inspect_report import DatasetFacts, ModelFacts, ReasonCode, RunFacts
from interp_lab.contracts.intervene import UnitRef
from interp_lab.points import Address

TRACE_KIND: Final = "path_trace"
VALIDATION_KIND: Final = "path_validation"
OUTPUT: Final = "output"
"""The behaviour, as the end of a path."""

PathPool = Literal["mean", "last", "peak"]
"""Over the text tokens of a prompt: mean, the last one, or the one at which the unedited target is largest."""

HeldPart = Literal["attention", "norms"]
"""Attention patterns, or what norms divide by, kept as in the unedited run."""

PathStatus = Literal[
    "candidate", "validated", "suggestive", "passes_along", "like_controls", "sign_reversed", "untested"
]  # fmt: skip
"""candidate: explore prompts only. suggestive: beyond controls, but not enough for a grade. passes_along: only the
residual stream hands it on. like_controls: random sources do as much. sign_reversed: the other way than found."""


class PathEnd(Contract):
    """One end of a path."""

    key: str
    """Address and index, or the name given; 'output' is the behaviour."""
    address: str
    """Where it is read."""
    unit: UnitRef | None
    """The unit, ready for a request; absent for the behaviour."""


class ControlFigures(Contract):
    """One kind of random source, measured in the same run on the same prompts."""

    kind: Literal["random_direction", "matched_latent", "other_coordinate"]
    """Random direction with the source's own values, another latent that fires as often with as long a decoder, or
    another coordinate of the address."""
    n: NonNegativeInt
    """How many, over all sources of the run."""
    size: FiniteFloat
    """Spread of their mediated effects on this target (of the central 80 %), scaled to the length of the edit."""
    ratio: FiniteFloat
    """Size of the mediated effect over that."""
    p_value: Probability
    """Chance that a source from the centre of these does as much, two-sided."""
    as_large: Probability
    """Share of them with at least as large an effect for their length."""


class PathFigures(Contract):
    """One path on one part of the prompts; effects are oriented: positive if more of the source raises the target."""

    part: Literal["explore", "confirm"]
    """Which part."""
    n_prompts: NonNegativeInt
    """Positives."""
    n_groups: NonNegativeInt
    """Their independent groups."""
    total: FiniteFloat
    """Mean change of the target."""
    passed_along: FiniteFloat
    """Of it, what the residual stream hands on with every block in between doing nothing new."""
    mediated: FiniteFloat
    """The rest: what the blocks in between make of it."""
    mediated_interval: Interval
    """Of the mediated effect."""
    direct: FiniteFloat | None
    """Total effect with the named parts held; absent if nothing was."""
    share: FiniteFloat
    """Mediated effect over the typical size of the unedited target."""
    controls: tuple[ControlFigures, ...]
    """Random sources."""
    beyond_control: Interval
    """Of the mediated effect less the controls' size, or the smallest effect that matters; leaves 0 out only if it
    exceeds both in one direction."""
    p_value: Probability
    """The larger one of: against controls, and against zero over groups."""
    q_value: Probability
    """Benjamini-Hochberg over every pair searched."""
    sign_consistency: Probability
    """Share of prompts that move the way of the mean, of those that move."""
    behaviour: FiniteFloat | None
    """Mean change of the behaviour under the same edit, oriented alike, in logits; absent if it was not measured."""


class PathDose(Contract):
    """One strength on the part that is graded, or on explore prompts."""

    scale: FiniteFloat
    """Multiple of the source's own value that was added; -1 removes it."""
    total: FiniteFloat
    """Mean change of the target, not oriented."""
    mediated: FiniteFloat
    """Mean mediated change."""
    relative_size: FiniteFloat
    """Length of the edit over that of what it is added to, at the token where that is largest; a mean."""


class PathCard(Contract):
    """One path with everything that was measured."""

    source: PathEnd
    """Where the edit is made."""
    target: PathEnd
    """Where it arrives."""
    explore: PathFigures | None
    """Where it was found; absent for imported claims."""
    confirm: PathFigures | None
    """On prompts that had no part in finding it."""
    doses: tuple[PathDose, ...]
    """Every strength."""
    off_positives: FiniteFloat | None
    """Upper bound of the mean size of the same edit's mediated effect on negatives; absent if not measured."""
    off_bound: FiniteFloat | None
    """The largest that was stated as acceptable."""
    status: PathStatus
    """What was found, in a word."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[ReasonCode, ...]
    """Why that grade."""
    next_action: NextAction | None
    """The call that would tell more of this path."""
    provenance: Provenance = "measured"
    """Where the discovery comes from; grades rest on what was measured here."""


class ScreenError(Contract):
    """How far the linear estimate lies from exact mediated effects at one size of edit."""

    scale: FiniteFloat
    """Multiple of the source's own value."""
    relative_size: FiniteFloat
    """Mean length of the edits over that of what they are added to."""
    n_pairs: NonNegativeInt
    """Pairs measured exactly."""
    correlation: FiniteFloat | None
    """Between the two, over pairs; absent where one of them does not vary."""
    relative_error: FiniteFloat | None
    """Length of the difference over that of the exact effects."""


HowScreened = Literal["exact", "gradient"]
"""Sources chosen by exact effects of all of them, or by a linear estimate and exact effects within its error."""


class ScreenFacts(Contract):
    """How the measured pairs were chosen."""

    n_sources: NonNegativeInt
    """Sources looked at."""
    n_targets: NonNegativeInt
    """Targets of each."""
    n_pairs: NonNegativeInt
    """Pairs looked at, over which q is corrected."""
    n_measured: NonNegativeInt
    """Sources measured exactly, each on every target."""
    how: HowScreened | None = None
    """What chose the measured sources; absent where all were measured, and in older reports."""
    n_checked: NonNegativeInt | None = None
    """Sources whose exact effects at the graded strength were compared to choose; absent where nothing was chosen."""
    recall: Probability | None = None
    """Expected share of the sources with the largest effects that is among those measured: 1 where all were compared
    exactly, else told by sources drawn at random; absent where nothing tells it."""
    recall_interval: Interval | None = None
    """Of the recall; absent where it is known."""
    error_bound: FiniteFloat | None = None
    """Times its estimate below which the exact effect of 98 % of sources drawn at random lies."""
    errors: tuple[ScreenError, ...]
    """Of the estimate, by size of edit."""


class PathSettings(Contract):
    """What was done to sources and how targets were read."""

    address: Address
    """Of the sources."""
    scales: tuple[FiniteFloat, ...]
    """Strengths; the first is the one that is graded."""
    rest: Literal["zero", "mean"]
    """What a coordinate or direction is scaled from; latents rest at zero."""
    pool: PathPool
    """How token values of a target become one per prompt."""
    hold: tuple[HeldPart, ...]
    """Parts held in direct passes."""
    hold_units: tuple[UnitRef, ...]
    """Units in between held in direct passes."""
    target_tokens: tuple[str, ...]
    """Words that count as the behaviour (untrusted text); empty if it was not measured."""
    alternative_tokens: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    chosen_tokens: Literal["given", "chosen"]
    """Given, or chosen from predictions on explore prompts."""
    n_controls: NonNegativeInt
    """Random sources of each kind per source."""
    least_share: FiniteFloat
    """Smallest mediated effect that matters, as a share of the target's typical size."""


class PathReport(Contract):
    """The full report, published as report.json; Markdown, HTML and records show the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    kind: Literal["trace", "validation"]
    """Found on explore prompts, or rerun on held-out ones."""
    criterion: str
    """As asked."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    model: ModelFacts
    """The model."""
    dataset: DatasetFacts
    """The prompts."""
    settings: PathSettings
    """What was done."""
    screen: ScreenFacts | None
    """How pairs were chosen; absent for a validation."""
    paths: tuple[PathCard, ...]
    """Strongest first, or in the order claimed."""
    n_searched: NonNegativeInt
    """Pairs among which these were found; a validation keeps correcting for it."""
    n_runs: NonNegativeInt
    """Edited runs."""
    discovery_rows: tuple[str, ...]
    """Hashes of the texts that may have suggested a path; prompts among them never grade one."""
    trace: str | None
    """Artifact that the claims come from."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""
