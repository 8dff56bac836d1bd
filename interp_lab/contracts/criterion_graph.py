"""criterion_graph as it is asked and answered: reports fused, every edge with its own kind of evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Grade
from interp_lab.contracts.inspect_report import ModelFacts
from interp_lab.contracts.results import Result

CRITERION_GRAPH_KIND: Final = "criterion_graph"

CRITERION_NODE = "criterion"
BEHAVIOUR_NODE = "output"

EvidenceKind = Literal["association", "effect", "co_activation", "path"]
"""Correlation with the criterion, measured change of the behaviour, correlation of two units, or measured mediation;
never one for another."""

ReportId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class CriterionGraphRequest(Contract):
    """Fuse reports of one criterion on one model."""

    reports: Annotated[tuple[ReportId, ...], Field(min_length=1, max_length=20)]
    """Artifacts of inspect, intervene, trace_paths and validate_paths."""
    kinds: Annotated[tuple[EvidenceKind, ...], Field(min_length=1)] = (
        "association",
        "effect",
        "co_activation",
        "path",
    )
    """Edges to draw."""
    publish: bool = False
    """Also write every edge as an artifact: graph.json, graph.graphml, report.md and a viewer, report.html."""


class EvidenceNode(Contract):
    """One unit, the criterion, or the behaviour."""

    id: str
    """Where it lies and which it is; 'criterion' and 'output' are the criterion and the behaviour."""
    name: str
    """What reports call it."""
    kind: Literal["criterion", "unit", "behaviour"]
    """What it is."""
    address: str | None = None
    """Where a unit lies; absent for the criterion and the behaviour."""
    layer: NonNegativeInt | None = None
    """Of that address, where it has one."""


class EdgeValidation(Contract):
    """What a rerun on held-out prompts found of a path."""

    status: str
    """Status of the path: on explore prompts where n_groups is 0."""
    n_groups: NonNegativeInt
    """Held-out groups; 0 if it was not rerun."""


class EvidenceEdge(Contract):
    """One edge; its weight is in the unit of its kind."""

    source: str
    """Node."""
    target: str
    """Node."""
    kind: EvidenceKind
    """What the weight is."""
    weight: FiniteFloat
    """AUROC of an association, change of an effect, correlation of a co-activation, mediated effect of a path."""
    interval: tuple[FiniteFloat, FiniteFloat] | None
    """95 % of the weight over prompt groups, if the report has one."""
    control: FiniteFloat | None = None
    """Of an effect: mean effect of its controls, which the grade takes off."""
    part: Literal["explore", "confirm"]
    """Prompts that it was measured on."""
    grade: Grade | None
    """As the report graded it; absent for co-activations, which are never graded."""
    reasons: tuple[str, ...]
    """Reason codes of that grade."""
    validation: EdgeValidation | None
    """Of a path."""
    report: str
    """Artifact that it comes from."""
    prompts: str | None = None
    """Start of the hash of the prompts that it was measured on: edges of others are not to be compared with it."""


class RedundancyGroup(Contract):
    """Units that say the same: one finding, not several."""

    id: str
    """Id of the strongest."""
    members: tuple[str, ...]
    """Ids of all, the strongest first."""


class CandidatePath(Contract):
    """A path that was found and not rerun on held-out prompts."""

    nodes: tuple[str, ...]
    """Source and target."""
    mediated: FiniteFloat
    """Mediated effect on explore prompts."""
    report: str
    """Trace that found it."""
    rank: PositiveInt
    """Its place in that trace."""


class FusedReport(Contract):
    """One report that was fused."""

    artifact: str
    """Its artifact."""
    kind: str
    """Of the artifact."""
    headline: str
    """What it says of itself."""
    dataset: str | None = None
    """Its prompts."""
    prompts: str | None = None
    """Start of their hash."""
    seed: int | None = None
    """Of its split into explore and confirm."""


class CriterionGraph(Contract):
    """The whole fused graph, published as graph.json; every other form shows the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    criterion: str
    """As asked in the reports."""
    model: ModelFacts
    """The model."""
    reports: tuple[FusedReport, ...]
    """What was fused."""
    mechanism_summary: tuple[str, ...]
    """What the reports support, a sentence per kind of evidence, and what is open."""
    nodes: tuple[EvidenceNode, ...]
    """Criterion, units, behaviour."""
    edges: tuple[EvidenceEdge, ...]
    """All of them: paths and effects first, strongest first within a kind."""
    supernodes: tuple[RedundancyGroup, ...]
    """Units that say the same."""
    candidate_paths: tuple[CandidatePath, ...]
    """Paths that validate_paths could rerun."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would settle what is open."""
    made_at: datetime
    """When it was fused."""
    code_version: str
    """Code that fused it."""


class KindCount(Contract):
    """Edges of one kind."""

    kind: EvidenceKind
    """What their weights are."""
    n: NonNegativeInt
    """How many."""
    n_validated: NonNegativeInt
    """Of them graded validated; co-activations never are."""


class EvidenceSummary(Contract):
    """What is worth reading first of a fused graph."""

    criterion: str
    """As asked in the reports."""
    counts: tuple[KindCount, ...]
    """By kind of evidence."""
    mechanism_summary: tuple[str, ...]
    """What the reports support, and what is open."""
    nodes: tuple[EvidenceNode, ...]
    """Ends of the edges listed."""
    edges: tuple[EvidenceEdge, ...]
    """Strongest of every kind, or those of the node asked for."""
    supernodes: tuple[RedundancyGroup, ...]
    """Units that say the same, those with most members."""
    candidate_paths: tuple[CandidatePath, ...]
    """Paths that were not rerun."""


class CriterionGraphResult(Result):
    """The fused graph."""

    n_prompt_sets: NonNegativeInt = 1
    """Prompt sets that the reports rest on; edges of different ones stay apart."""

    criterion: str
    """As asked in the reports."""
    model: str
    """Id of the model."""
    mechanism_summary: tuple[str, ...]
    """What the reports support, a sentence per kind of evidence, and what is open."""
    nodes: tuple[EvidenceNode, ...]
    """Criterion, units, behaviour."""
    edges: tuple[EvidenceEdge, ...]
    """Paths and effects first, strongest first within a kind."""
    supernodes: tuple[RedundancyGroup, ...]
    """From the groups of redundant coordinates of inspect reports."""
    candidate_paths: tuple[CandidatePath, ...]
    """Paths that validate_paths could rerun."""
    n_edges: NonNegativeInt
    """Edges, those not shown too."""
