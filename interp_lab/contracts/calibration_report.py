"""The report of a calibration: every share with its interval, by grade, by kind of decoy, and along every axis."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade
from interp_lab.contracts.calibrate import Axis, Bar, GradeRow, Share, Verdict
from interp_lab.contracts.inspect_report import RunFacts


class LatentScore(Contract):
    """One latent: what was said of it, and what is true."""

    address: str
    """Where it is."""
    index: NonNegativeInt
    """Its index in the dictionary that was handed out."""
    name: str
    """Name of the planted direction, or bystander."""
    kind: str
    """What it was built to be."""
    causal: bool
    """Whether it is a cause."""
    true_effect: FiniteFloat
    """What ablating it costs, in logits, by passes that share no code with the pipeline."""
    grade: Grade | None
    """What it was called; absent if it was not among those described."""
    confirmed: bool
    """Whether an effect beyond control was confirmed, whatever the association."""
    effect: FiniteFloat | None
    """What was measured on confirm prompts, more of it raising the behaviour being positive."""
    reasons: tuple[str, ...]
    """Why that grade."""


class JointScore(Contract):
    """The search for latents that stand in for each other."""

    planted: tuple[str, ...]
    """Those that do; empty where none were planted."""
    found: tuple[str, ...]
    """The smallest set whose joint ablation was confirmed; empty if none was."""


class WorldScore(Contract):
    """One model."""

    seed: NonNegativeInt
    """Its seed."""
    axis: Axis
    """What its setting varies."""
    value: str
    """To what."""
    meant_to_hold: bool
    """Whether the bars apply."""
    latents: tuple[LatentScore, ...]
    """Every latent."""
    joint: JointScore
    """What joint ablation found."""
    seconds: FiniteFloat
    """Time of the pipeline on it."""


class DecoyRow(Contract):
    """One kind of latent that is no cause."""

    kind: str
    """Which."""
    called_causal: Share | None
    """Share validated or with a confirmed effect."""
    validated: Share | None
    """Share validated."""


class CurvePoint(Contract):
    """One setting."""

    axis: Axis
    """What is varied."""
    value: str
    """To what."""
    recall: Share | None
    """Share of causes that are validated."""
    confirmed: Share | None
    """Share of causes whose effect is confirmed, whatever the association."""
    precision: Share | None
    """Share of validated latents that are causes."""
    decoys: Share | None
    """Share of latents that are no cause and are called one."""
    redundancy: Share | None
    """Share of planted redundant pairs found by joint ablation."""
    seconds: FiniteFloat
    """Time per model."""


class CalibrationReport(Contract):
    """The full report, published as report.json; Markdown and HTML show the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    verdict: Verdict
    """Whether the lab is as right as it says."""
    bars: tuple[Bar, ...]
    """What must hold, over the settings that are not meant to break."""
    grades: tuple[GradeRow, ...]
    """Probability that a latent is a cause, by grade, over all settings."""
    decoys: tuple[DecoyRow, ...]
    """By kind, over all settings."""
    curve: tuple[CurvePoint, ...]
    """Every setting."""
    missed: dict[str, NonNegativeInt]
    """Why causes were not validated: reason code → latents, over all settings."""
    seeds: tuple[NonNegativeInt, NonNegativeInt]
    """First and last."""
    n_worlds: NonNegativeInt
    """Models."""
    seconds: FiniteFloat
    """Time for all of it."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """What to do with it."""
    run: RunFacts
    """How the numbers came about."""
