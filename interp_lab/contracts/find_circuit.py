"""find_circuit as it is asked and answered: which edges between components carry a behaviour."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat

from interp_lab.contracts.base import Contract, Grade, Probability, Seed
from interp_lab.contracts.circuit_report import Ablation, CircuitEdge, CircuitMetric
from interp_lab.contracts.inspect import Criterion, ModelArgument
from interp_lab.contracts.intervene import TokenText
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.prompts import PromptArgument
from interp_lab.contracts.results import Result


class FindCircuitRequest(JobRequest):
    """Find the edges between heads and MLPs that carry a behaviour."""

    dry_run: bool = True
    """Say what would be run and what it costs, and start nothing; false to run it."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Decoder to take apart."""
    criterion: Criterion
    """What the positives have and the negatives lack, in plain words."""
    dataset: PromptArgument = Field(examples=["builtin:person-name"])
    """Scored prompts."""
    ablation: Ablation = "resample"
    """What replaces an edge that is cut; the answer depends on it, so it is named everywhere. resample takes another
    prompt of as many tokens."""
    metric: CircuitMetric = "logit_difference"
    """logit_difference reads positives at the last token. kl and squared_error compare all prompts with the model."""
    positions: Literal["last", "every"] = "last"
    """Where kl and squared_error are read."""
    target_tokens: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words of the logit difference, one token each; empty chooses them on explore prompts."""
    alternative_tokens: Annotated[tuple[TokenText, ...], Field(max_length=50)] = ()
    """Words they are compared with; empty chooses them likewise."""
    tolerance: Annotated[FiniteFloat, Field(ge=0, le=0.5)] = 0.01
    """An edge stays cut if that moves the metric by at most this share of what cutting all of them does."""
    n_steps: Annotated[int, Field(ge=1, le=200)] = 10
    """Steps of the integrated gradients that order the edges."""
    n_prompts: Annotated[int, Field(ge=2, le=512)] = 32
    """Prompts of each half, at most."""
    n_controls: Annotated[int, Field(ge=19, le=500)] = 39
    """Random sets of edges to compare with."""
    threshold: FiniteFloat = 0.5
    """Prompts scored at or above it are positives."""
    seed: Seed = 0
    """Seed of the explore/confirm split, of partners and of random circuits."""


class CircuitResult(Result):
    """The short form of the report."""

    criterion: str
    """As asked."""
    model: str
    """Id of the model."""
    ablation: Ablation
    """What replaces an edge that is cut."""
    metric: CircuitMetric
    """What was measured."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[str, ...]
    """Reason codes; the report explains each."""
    n_edges: NonNegativeInt
    """Edges of the circuit."""
    n_all_edges: NonNegativeInt
    """Edges that the architecture allows."""
    nodes: tuple[str, ...]
    """Components of the circuit."""
    edges: tuple[CircuitEdge, ...]
    """Its costliest edges, at most 30."""
    faithfulness: FiniteFloat
    """On held-out prompts, between 0 with no edge and 1 with all."""
    interval: tuple[FiniteFloat, FiniteFloat]
    """95 % over prompt groups."""
    completeness: FiniteFloat
    """With every edge but these: near 0 if nothing else carries the behaviour."""
    random_largest: FiniteFloat
    """Largest faithfulness of a random set of edges with as many into every reader."""
    p_value: Probability
    """Chance of a random set that is as faithful."""
    n_groups: NonNegativeInt
    """Independent groups of held-out prompts."""


class CircuitPlan(Contract):
    """What a run would do and cost."""

    n_edges: NonNegativeInt | None
    """Edges of the architecture, upper estimate; absent if the configuration does not say."""
    n_prompts: NonNegativeInt
    """Prompts read, upper estimate."""
    n_passes: NonNegativeInt | None
    """Passes over all prompts of one half, upper estimate; each runs every block once per head."""
    seconds: PositiveFloat | None
    """Estimated time; absent if the configuration does not say."""
    seconds_source: str | None
    """What the estimate rests on."""
    advisories: tuple[str, ...]
    """What to consider before running it."""
