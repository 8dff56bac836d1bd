"""Model diffing as it is asked and answered: what changed between a model and a changed version of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Probability, Seed
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.inspect_report import ModelFacts, RunFacts
from interp_lab.contracts.intervene import ReportId
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result
from interp_lab.points import Address

DIFF_KIND: Final = "model_diff"
Verdict = Literal["kept", "weakened", "lost", "strengthened", "new", "unclear"]
"""Of a unit's association on confirm prompts; unclear: it is certain in neither model."""


class DiffModelsRequest(JobRequest):
    """Say what changed between a model and a fine-tuned, quantised or edited version of it."""

    base: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model as it was."""
    changed: ModelArgument = Field(examples=[{"id": "builtin:pocket-llama", "dtype": "bfloat16"}])
    """The changed version; for quantisation the same model, with another dtype or with quantise."""
    quantise: Literal["int8_weights"] | None = None
    """Round the changed model's linear weights to 8 bits, one scale per output; activations stay as they are."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:person-name"])
    """Scored prompts that both read."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=200)] = ()
    """Where to look; empty means resid_post of every layer, or nothing but the dictionaries if there are any."""
    dictionaries: Annotated[tuple[DictionaryRef, ...], Field(max_length=50)] = ()
    """Dictionaries of the base whose latents are read in both."""
    crosscoder: DictionaryRef | None = None
    """Crosscoder of one address of both models, base first, whose exclusive latents are checked for artefacts."""
    report: ReportId | None = None
    """Report of intervene on the base and these prompts: the units that it validated are followed too."""
    n_units: Annotated[int, Field(ge=1, le=100)] = 10
    """Units to follow: so many that go with the criterion best in the base, and in the changed model."""
    least_change: Annotated[FiniteFloat, Field(gt=0, le=0.5)] = 0.05
    """Smallest change of AUROC that counts."""
    pooling: Pooling = "max"
    """How token values become one value per prompt."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the explore/confirm split."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.base == self.changed and self.quantise is None:
            raise ValueError("base and changed are the same; name another model, revision or dtype, or quantise")
        return self


class ChangedWeight(Contract):
    """One weight that differs."""

    name: str
    """Parameter."""
    relative: FiniteFloat
    """Length of the difference over that of the base's weight."""
    rank: NonNegativeInt | None
    """Numerical rank of the difference; absent for one too large to decompose."""


class PlaceShift(Contract):
    """How activations at one address differ, on confirm prompts."""

    address: str
    """Address."""
    relative: FiniteFloat
    """Mean square of the difference over the variance of the base."""
    first: Probability
    """Share of the difference along its leading direction, which explore prompts chose."""
    n_directions: NonNegativeInt
    """Directions that hold nine tenths of it."""


class UnitChange(Contract):
    """One unit in both models, on confirm prompts."""

    address: str
    """Address; of a latent with its dictionary behind a slash."""
    index: NonNegativeInt
    """Coordinate or latent."""
    validated: bool
    """Whether the report of the base validated it."""
    base_auroc: FiniteFloat
    """Association in the base, as measured."""
    changed_auroc: FiniteFloat
    """In the changed model."""
    difference: FiniteFloat
    """Changed less base, both turned so that above 0.5 is the sign of discovery."""
    interval: tuple[FiniteFloat, FiniteFloat]
    """Of the difference, simultaneous over all units followed (Bonferroni), 95 %, over prompt groups."""
    verdict: Verdict
    """What became of it."""


class LatentOwner(Contract):
    """One latent of the crosscoder that looks to belong to one model."""

    index: NonNegativeInt
    """Latent."""
    owner: Literal["base", "changed"]
    """By the lengths of its decoder rows."""
    share: Probability
    """Of the changed model in the length of the decoder rows."""
    error_ratio: FiniteFloat
    """How much of it the other model has in its error, relative to its own; from 0.2 on: complete shrinkage."""
    reconstruction_ratio: FiniteFloat
    """How much of it is in the other model's reconstruction; from 0.5 on: latent decoupling."""
    artefact: Literal["complete_shrinkage", "latent_decoupling"] | None
    """Why it is not one model's alone; absent where it is."""


class ModelDiffReport(Contract):
    """The whole difference."""

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    headline: str
    """One sentence that is true when quoted alone."""
    criterion: str
    """As asked."""
    base: ModelFacts
    """Model as it was."""
    changed: ModelFacts
    """Changed version."""
    quantise: Literal["int8_weights"] | None = None
    """How its weights were rounded after loading."""
    dataset: str
    """Name of the prompts."""
    dataset_sha256: str
    """Their hash."""
    n_explore: NonNegativeInt
    """Prompts that chose units and directions."""
    n_confirm: NonNegativeInt
    """Prompts that judged them."""
    n_groups: NonNegativeInt
    """Groups of confirm prompts."""
    n_weights: NonNegativeInt
    """Weights compared."""
    weights: tuple[ChangedWeight, ...]
    """Those that differ, the most changed first."""
    shifts: tuple[PlaceShift, ...]
    """Activations, in order of depth."""
    units: tuple[UnitChange, ...]
    """Units followed, the most changed first."""
    exclusive: tuple[LatentOwner, ...]
    """Latents of the crosscoder that look exclusive; empty without one."""
    n_crosscoder_latents: NonNegativeInt | None = None
    """Latents of the crosscoder that fire on these prompts."""
    n_exclusive: NonNegativeInt | None = None
    """Those of them that look exclusive, the ones not listed too."""
    n_artefacts: NonNegativeInt | None = None
    """Those that look so by an artefact of training."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How it came about."""


class DiffModelsResult(Result):
    """The short form of the report."""

    base: str
    """Model as it was; with its dtype where both have one name."""
    changed: str
    """Changed version; with its dtype or rounding where both have one name."""
    n_changed_weights: NonNegativeInt
    """Weights that differ."""
    weights: tuple[ChangedWeight, ...]
    """The most changed."""
    shifts: tuple[PlaceShift, ...]
    """Activations, in order of depth."""
    verdicts: dict[str, int]
    """Units by what became of them."""
    units: tuple[UnitChange, ...]
    """The most changed."""
    exclusive: tuple[LatentOwner, ...]
    """Latents that look exclusive, those that are first."""


class DiffModelsPlan(Contract):
    """What it would do and cost."""

    n_prompts: NonNegativeInt
    """Prompts that each model reads twice."""
    n_units_at_most: NonNegativeInt
    """Units followed."""
    n_parameters: NonNegativeInt | None = None
    """Parameters of both models together, all in memory at once; absent for a model that is not on this machine."""
    n_bytes: NonNegativeInt | None = None
    """Memory of their weights."""
    stored: tuple[str, str] | None = None
    """Tensors of both models on disk by number format; absent for a model that is not on this machine."""
