"""Say the most important things of a graph that was drawn: scores, nodes, paths, and one node's neighbours."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.attribution_graph import (
    GRAPH_KIND,
    GraphReport,
    SummarizeGraphRequest,
    SummarizeGraphResult,
)
from interp_lab.contracts.criterion_graph import CRITERION_GRAPH_KIND, CriterionGraph
from interp_lab.errors import InvalidRequest
from interp_lab.reports.graph_summary import evidence_summary, neighbours, summary_of
from interp_lab.settings import Settings

_MAX_BYTES = 200 * 2**20
_MOST_NEIGHBOURS = 8


def summarize_graph(request: SummarizeGraphRequest, *, settings: Settings) -> SummarizeGraphResult:
    """Return the summary of a graph.

    Raises:
        UnknownArtifact, ArtifactCorrupt: It cannot be read.
        InvalidRequest: It is an artifact of another kind, or has no such node.
    """
    store = ArtifactStore(WorkspacePaths.of(settings))
    if store.open_as(request.graph, GRAPH_KIND, CRITERION_GRAPH_KIND).kind == CRITERION_GRAPH_KIND:
        return _fused(request, read_criterion_graph(request.graph, settings))
    report = read_graph(request.graph, settings)
    inputs, outputs = (), ()
    if request.node is not None:
        _refuse_unknown(request.node, {node.id for node in report.nodes})
        inputs, outputs = neighbours(report, request.node, _MOST_NEIGHBOURS)
    return SummarizeGraphResult(
        summary=report.headline,
        warnings=report.caveats,
        agent_next_actions=feature_calls(report),
        prompt=report.prompt[:500],
        graph=summary_of(report, n_nodes=request.n_nodes, n_paths=request.n_paths),
        inputs=inputs,
        outputs=outputs,
    )


def _fused(request: SummarizeGraphRequest, graph: CriterionGraph) -> SummarizeGraphResult:
    if request.node is not None:
        _refuse_unknown(request.node, {node.id for node in graph.nodes})
    return SummarizeGraphResult(
        summary=graph.headline,
        warnings=graph.caveats,
        agent_next_actions=graph.agent_next_actions[:3],
        evidence=evidence_summary(graph, n=request.n_nodes, node=request.node),
        inputs=(),
        outputs=(),
    )


def _refuse_unknown(node: str, known: Collection[str]) -> None:
    if node not in known:
        raise InvalidRequest(
            f"The graph has no node {node[:80]!r}.", remedy="Take an id from nodes or paths of the summary."
        )


def read_criterion_graph(artifact: str, settings: Settings) -> CriterionGraph:
    """Return the fused graph of an artifact; raises as `summarize_graph`."""
    store = ArtifactStore(WorkspacePaths.of(settings))
    try:
        return CriterionGraph.model_validate_json(store.read_file(artifact, "graph.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The graph of artifact {artifact} is not one that this version reads.") from error


def read_graph(artifact: str, settings: Settings) -> GraphReport:
    """Return the graph of an artifact; raises as `summarize_graph`."""
    store = ArtifactStore(WorkspacePaths.of(settings))
    store.open_as(artifact, GRAPH_KIND)
    try:
        return GraphReport.model_validate_json(store.read_file(artifact, "graph.json", limit=_MAX_BYTES))
    except ValidationError as error:
        raise InvalidRequest(f"The graph of artifact {artifact} is not one that this version reads.") from error


def feature_calls(report: GraphReport) -> tuple[NextAction, ...]:
    """Return the calls that show the latents of most influence."""
    latents = sorted((node for node in report.nodes if node.kind == "feature"), key=lambda node: -node.influence)
    return tuple(
        NextAction(
            tool="show_feature",
            arguments={"dictionary": node.dictionary, "unit": node.index},
            why=f"See what latent {node.id}, of influence {node.influence:.2g}, promotes.",
        )
        for node in latents[:2]
        if node.dictionary is not None and node.index is not None
    )
