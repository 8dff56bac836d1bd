"""The report of a circuit: which edges between components carry a behaviour, and how much of it they carry."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import FiniteFloat, NonNegativeFloat, NonNegativeInt

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade, Interval, Probability
from interp_lab.contracts.inspect_report import DatasetFacts, ModelFacts, ReasonCode, RunFacts

CIRCUIT_KIND: Final = "circuit"

Ablation = Literal["zero", "mean", "resample"]
"""What an ablated component is seen to write: nothing, its mean over tokens of explore prompts, or what it writes on
another prompt of as many tokens."""

CircuitMetric = Literal["logit_difference", "kl", "squared_error"]
"""Logit of targets less alternatives at the last token, or how far the logits are from those of the whole model."""


class CircuitNode(Contract):
    """One component."""

    name: str
    """embed, positions, head.LAYER.HEAD, attn.LAYER, mlp.LAYER or logits."""
    in_circuit: bool
    """Whether an edge of the circuit touches it."""
    cost: NonNegativeFloat
    """Largest cost of an edge that touches it."""


class CircuitEdge(Contract):
    """One edge: what a reader sees of a writer."""

    source: str
    """Writer."""
    target: str
    """Reader."""
    in_circuit: bool
    """Whether it was left after pruning."""
    attribution: FiniteFloat
    """Estimate: integrated slope, as a share of the whole difference."""
    cost: NonNegativeFloat
    """Exact: how far the metric moved when it was cut at its turn, as a share of the whole difference; edges that were
    cut together share one figure."""


class CircuitPoint(Contract):
    """How much a set of edges carries, on prompts that had no part in finding it."""

    n_edges: NonNegativeInt
    """Edges kept, the costliest first."""
    share: Probability
    """Of all edges."""
    faithfulness: FiniteFloat
    """Metric with only these edges, between 0 with none and 1 with all."""
    faithfulness_interval: Interval
    """Over prompt groups."""
    completeness: FiniteFloat
    """The same with every edge but these: near 0 if nothing outside carries the behaviour too."""


class RandomCircuits(Contract):
    """Sets of edges with as many edges into every reader, drawn at random."""

    n: NonNegativeInt
    """How many."""
    mean: FiniteFloat
    """Their mean faithfulness."""
    largest: FiniteFloat
    """Their largest."""
    p_value: Probability
    """Chance of one that is as faithful."""


class AttributionCheck(Contract):
    """How far the estimate that ordered the edges is off."""

    n_steps: NonNegativeInt
    """Steps of the integral."""
    sum_error: NonNegativeFloat
    """Sum of all attributions against the whole difference, as a share of it: 0 with enough steps."""
    n_edges: NonNegativeInt
    """Edges cut alone, exactly."""
    correlation: FiniteFloat | None
    """Between attribution and exact effect over these; absent where one of them does not vary."""


class CircuitSettings(Contract):
    """What was ablated and what was measured."""

    ablation: Ablation
    """What replaces an edge that is cut."""
    metric: CircuitMetric
    """What is measured."""
    positions: Literal["last", "every"]
    """Where."""
    tolerance: FiniteFloat
    """Share of the whole difference that a cut may cost."""
    target_tokens: tuple[str, ...]
    """Words of the logit difference (untrusted text)."""
    alternative_tokens: tuple[str, ...]
    """Words they are compared with (untrusted text)."""
    splits_heads: bool
    """Whether heads are components of their own, or a layer's attention is one."""


class CircuitReport(Contract):
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
    settings: CircuitSettings
    """What was done."""
    nodes: tuple[CircuitNode, ...]
    """Every component, writers before their readers."""
    edges: tuple[CircuitEdge, ...]
    """Every edge that the architecture allows, the costliest first."""
    circuit: CircuitPoint
    """The edges that were left, on held-out prompts."""
    on_explore: FiniteFloat
    """Their faithfulness on the prompts on which they were found."""
    curve: tuple[CircuitPoint, ...]
    """By number of edges."""
    area_kept: FiniteFloat
    """Area under faithfulness over the share of edges (CPR of MIB)."""
    area_missed: FiniteFloat
    """Area between faithfulness and 1 over the share of edges (CMD of MIB); 0 is best."""
    controls: RandomCircuits
    """Random sets of edges, on the same prompts."""
    attribution: AttributionCheck
    """Of the estimate."""
    n_prompts: tuple[NonNegativeInt, NonNegativeInt]
    """Explore and held-out prompts that were used."""
    n_groups: NonNegativeInt
    """Independent groups of the held-out ones."""
    n_tests: NonNegativeInt
    """Exact tests of the pruning."""
    grade: Grade
    """How far the evidence carries."""
    reasons: tuple[ReasonCode, ...]
    """Why that grade."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    run: RunFacts
    """How the numbers came about."""
