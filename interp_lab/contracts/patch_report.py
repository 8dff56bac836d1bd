"""The report of activation patching: maps on explore pairs, and the strongest places again on held-out pairs."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Interval, Probability
from interp_lab.contracts.inspect_report import DatasetFacts, ModelFacts, ReasonCode, RunFacts

PATCH_KIND: Final = "patch_report"

PatchWay = Literal["denoising", "noising"]
"""denoising: pieces of the clean run put into the corrupt one, what suffices; noising: the reverse, what is needed."""

PatchComponent = Literal["resid_pre", "attn_out", "mlp_out", "heads"]
"""The residual stream, what attention or MLP adds to it, each by token; or each head at all tokens."""

PatchStatus = Literal["carries", "like_controls", "sign_reversed", "unconfirmed"]
"""On held-out pairs: beyond random changes of the same length; not; the other way round; or there were too few."""

ColumnKind = Literal["tokens", "roles"]
"""Single tokens, where all pairs have one length and differ at the same places; or stretches of tokens by what they
are: differing, after them, last."""


class PatchMapFigures(Contract):
    """One map over explore pairs: what each patch alone does."""

    component: PatchComponent
    """What is patched."""
    way: PatchWay
    """Which run is patched."""
    layers: tuple[NonNegativeInt, ...]
    """Rows."""
    columns: tuple[str, ...]
    """Tokens, roles or heads (untrusted text)."""
    share: tuple[tuple[FiniteFloat, ...], ...]
    """Mean change over the mean difference of the two runs: 1 brings the other run's behaviour, 0 changes nothing."""


class PatchCellFigures(Contract):
    """One place among the strongest on explore pairs, again on held-out pairs beside random changes."""

    component: PatchComponent
    """What is patched."""
    layer: NonNegativeInt
    """Its layer."""
    column: str
    """Its token, role or head (untrusted text)."""
    way: PatchWay
    """Which run is patched."""
    explore_share: FiniteFloat
    """On the pairs that chose it, so it looks larger than it is."""
    share: FiniteFloat | None
    """On held-out pairs."""
    share_interval: Interval | None
    """Its interval over prompt groups."""
    control: FiniteFloat | None
    """Mean share of changes of the same tokens by the same length along random directions."""
    beyond_control: Interval | None
    """Interval of share less control: without 0 it exceeds them."""
    q_value: Probability | None
    """Benjamini-Hochberg over the places tested on held-out pairs."""
    sign_consistency: Probability | None
    """Share of pairs that move the way of the mean."""
    status: PatchStatus
    """What was found."""


class PatchReport(Contract):
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
    targets: tuple[str, ...]
    """Words that count as the behaviour (untrusted text)."""
    alternatives: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    target_tokens: Literal["given", "chosen"]
    """Given, or chosen from the model's predictions on explore pairs."""
    clean: FiniteFloat
    """Mean logit difference of the clean prompts of explore pairs."""
    corrupt: FiniteFloat
    """Mean logit difference of the corrupt ones."""
    difference_interval: Interval | None
    """Of clean less corrupt, over prompt groups: what a share is a share of; absent for a single group."""
    n_explore: NonNegativeInt
    """Pairs that made the maps."""
    n_confirm: NonNegativeInt
    """Pairs on which the strongest places were tested."""
    n_groups: NonNegativeInt
    """Independent groups of the latter."""
    left_out: dict[str, NonNegativeInt]
    """Pairs that could not be used, by reason."""
    column_kind: ColumnKind
    """What the columns of maps by token are."""
    example: tuple[str, str]
    """One pair, clean and corrupt (untrusted text)."""
    maps: tuple[PatchMapFigures, ...]
    """One per component and way."""
    cells: tuple[PatchCellFigures, ...]
    """The strongest places, each way."""
    n_controls: NonNegativeInt
    """Random changes per place and pair."""
    n_runs: NonNegativeInt
    """Patched runs, controls among them."""
    flags: tuple[ReasonCode, ...] = Field(default=())
    """Why the shares may mean nothing."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""
