"""patch_activations as it is asked and answered: where a model carries what tells two prompts apart."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, model_validator

from interp_lab.contracts.base import Contract, Probability, Seed
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.intervene import TokenText
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.patch_report import ColumnKind, PatchComponent, PatchStatus, PatchWay
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result


class PatchRequest(JobRequest):
    """Patch activations between the clean and the corrupt prompt of pairs, place by place."""

    dry_run: bool = True
    """Say what would be run and what it costs, and start nothing; false to run it."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Model to patch."""
    criterion: Criterion
    """What the clean prompts have and the corrupt ones lack, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:positive-sentiment"])
    """Scored prompts in pairs: of each pair one at or above the threshold (clean) and one below (corrupt), as many
    tokens long."""
    components: Annotated[tuple[PatchComponent, ...], Field(min_length=1, max_length=4)] = (
        "resid_pre",
        "attn_out",
        "mlp_out",
        "heads",
    )
    """What is patched."""
    ways: Annotated[tuple[PatchWay, ...], Field(min_length=1, max_length=2)] = ("denoising", "noising")
    """Which run is patched."""
    columns: Literal["auto", ColumnKind] = "auto"
    """Single tokens, or stretches by role; auto takes tokens where all pairs line up."""
    targets: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words that count as the behaviour, one token each; empty chooses what the model predicts on explore pairs."""
    alternatives: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words they are compared with; empty chooses them likewise."""
    max_pairs: Annotated[int, Field(ge=1, le=500)] = 32
    """Pairs of each half, the first that line up."""
    top_k: Annotated[int, Field(ge=1, le=50)] = 8
    """Places to test on held-out pairs, each way."""
    n_controls: Annotated[int, Field(ge=1, le=20)] = 4
    """Random changes of the same length per place and pair."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are clean."""
    seed: Seed = 0
    """Seed of the explore/confirm split and of controls."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.components)) != len(self.components) or len(set(self.ways)) != len(self.ways):
            raise ValueError("components and ways must differ from each other")
        return self


class PatchShort(Contract):
    """One place in short."""

    place: str
    """What is patched, and at which tokens (untrusted text)."""
    way: PatchWay
    """Which run is patched."""
    status: PatchStatus
    """What was found."""
    share: FiniteFloat | None
    """On held-out pairs: 1 brings the other run's behaviour, 0 changes nothing."""
    interval: tuple[FiniteFloat, FiniteFloat] | None
    """Its 95 % interval over prompt groups."""
    control: FiniteFloat | None
    """Mean share of random changes of the same length."""
    q_value: Probability | None
    """Over the places tested."""


class PatchResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    model: str
    """Id of the model."""
    targets: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    difference: FiniteFloat
    """Mean logit difference of clean less corrupt prompts, of which shares are shares."""
    n_pairs: tuple[NonNegativeInt, NonNegativeInt]
    """Pairs that made the maps, and that tested the strongest places."""
    left_out: dict[str, NonNegativeInt]
    """Pairs that could not be used, by reason."""
    cells: tuple[PatchShort, ...]
    """The strongest places of explore pairs on held-out pairs; the maps are in the report."""
    n_runs: NonNegativeInt
    """Patched runs."""


class PatchPlan(Contract):
    """What a run would do and cost."""

    n_pairs: NonNegativeInt
    """Pairs at most; those whose tokens do not line up are left out."""
    n_cells: NonNegativeInt
    """Places per pair and way, about."""
    n_passes: NonNegativeInt
    """Patched runs at most, most of them from the patched layer on only."""
    seconds: PositiveFloat | None
    """Estimated time; absent where the model is not on this machine yet."""
    seconds_source: str | None
    """What the estimate rests on."""
    controls: tuple[str, ...]
    """What places are compared with."""
    advisories: tuple[str, ...]
    """What to consider before running it."""
