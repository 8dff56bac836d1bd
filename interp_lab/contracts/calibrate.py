"""Calibrate as it is asked and answered: is this lab right, measured on models whose truth is known."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from interp_lab.contracts.base import Contract, Grade, Probability, Seed
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result
from interp_lab.contracts.worlds import PlantDials

Size = Literal["small", "held", "whole"]
"""small: a check in about a minute; held: more models of the quickest settings to which the bars apply, for narrow
intervals; whole: the sweep from which curves are drawn."""

Axis = Literal["easy", "effect", "noise", "prompts", "redundancy", "confounding", "targets", "base"]
"""What is varied in a setting; everything else stays as in the easy one."""

Verdict = Literal["as_stated", "undecided", "overclaims", "misses"]
"""as_stated: every bar is met, intervals and all. undecided: some bar lies within its interval, so that these models
neither show nor exclude it. overclaims: something that is no cause was called one too often, or with the wrong sign.
misses: causes that are plain to see are not found."""

BarState = Literal["met", "undecided", "missed"]
"""Whether the whole interval lies on the right side of the bar, on both, or on the wrong one."""

WORLDS_PER_SETTING: dict[Size, int] = {"small": 2, "held": 16, "whole": 8}
SEED_RANGE = 1000
"""Seeds below it are for development, those from it to twice it for reported figures."""


class CalibrateRequest(JobRequest):
    """Run the pipeline, blind, on models with planted causes and decoys, and score what it says."""

    size: Size = "small"
    """small: about a minute; held: narrow intervals of what must hold; whole: the sweep with curves, many minutes."""
    worlds: Annotated[int, Field(ge=1, le=50)] | None = None
    """Models per setting; 2 in a small run, 16 in a held one, 8 in a whole one."""
    first_seed: Annotated[int, Field(ge=0, lt=2 * SEED_RANGE)] = 0
    """Seed of the first model, the next has the next; 0-999 to develop on, 1000-1999 for figures that are reported."""
    seed: Seed = 0
    """Seed of splits and controls."""


class Share(Contract):
    """A share of latents, or of models."""

    share: Probability
    """The share."""
    low: Probability
    """Lower end of its 95 % interval."""
    high: Probability
    """Upper end."""
    n: NonNegativeInt
    """Of how many."""
    n_worlds: NonNegativeInt
    """In how many models; latents of one model are not independent."""


class Bar(Contract):
    """One thing that must hold."""

    name: str
    """Its name."""
    text: str
    """What it says."""
    found: Share | None
    """What was found; absent where there was nothing to count."""
    at_least: Probability | None = None
    """Lowest share that holds."""
    at_most: Probability | None = None
    """Highest share that holds."""
    holds: bool
    """Whether the share that was found meets it; false where there was nothing to count."""
    state: BarState = "undecided"
    """Whether the interval shows that it is met, or that it is missed."""


class GradeRow(Contract):
    """What a grade is worth."""

    grade: Grade
    """The grade."""
    causal: Share | None
    """Share of latents with this grade that are causes; absent if none got it."""


class CalibrateResult(Result):
    """The short form of the report."""

    verdict: Verdict
    """Whether the lab is as right as it says."""
    bars: tuple[Bar, ...]
    """What must hold, over the settings that are not meant to break."""
    grades: tuple[GradeRow, ...]
    """Probability that a latent is a cause, by grade, over all settings."""
    n_worlds: NonNegativeInt
    """Models."""
    first_seed: NonNegativeInt
    """Seed of the first."""
    seconds: FiniteFloat
    """Time for all of it."""


class CalibratePlan(Contract):
    """What a calibration would do."""

    settings: tuple[str, ...]
    """Each setting."""
    worlds_per_setting: NonNegativeInt
    """Models in each."""
    n_worlds: NonNegativeInt
    """Models in all."""
    seeds: str
    """Their seeds."""


class Setting(Contract):
    """One point of the sweep."""

    axis: Axis
    """What is varied."""
    value: str
    """To what."""
    meant_to_hold: bool
    """Whether the bars apply; the others show where it breaks."""
    dials: PlantDials
    """How its models are made."""
    targets_given: bool = True
    """Whether the question names the words that are the behaviour, or the pipeline chooses them."""

    @model_validator(mode="after")
    def _noise_is_meant_to_break(self) -> Self:
        if self.meant_to_hold and self.dials.noise:
            raise ValueError("a model with noise on its planted directions is not verified")
        return self
