"""What is worth reading first of an attribution graph: its scores, its strongest nodes and its strongest paths."""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import get_args

from interp_lab.contracts.attribution_graph import GraphEdge, GraphNode, GraphPath, GraphReport, GraphSummary
from interp_lab.contracts.criterion_graph import CriterionGraph, EvidenceEdge, EvidenceKind, EvidenceSummary, KindCount

_MOST_STEPS = 20_000
_MOST_GROUPS, _MOST_CANDIDATES = 8, 8


def summary_of(report: GraphReport, *, n_nodes: int = 10, n_paths: int = 5) -> GraphSummary:
    """Return the summary."""
    between = [node for node in report.nodes if node.kind in ("feature", "error")]
    logits = [node for node in report.nodes if node.kind == "logit"]
    return GraphSummary(
        replacement_score=report.replacement_score,
        completeness_score=report.completeness_score,
        n_nodes=len(report.nodes),
        n_edges=len(report.edges),
        logits=tuple(f"{node.label} (p={node.probability or 0:.3f})" for node in logits[:10]),
        nodes=tuple(sorted(between, key=lambda node: -node.influence)[:n_nodes]),
        paths=strongest_paths(report, n_paths),
    )


def evidence_summary(graph: CriterionGraph, *, n: int = 10, node: str | None = None) -> EvidenceSummary:
    """Return the summary of a fused graph: `n` edges, shared among kinds, or as many of one node."""
    if node is None:
        each = -(-n // max(1, len({edge.kind for edge in graph.edges})))
        edges = tuple(edge for kind in get_args(EvidenceKind) for edge in _of(graph, kind)[:each])
    else:
        edges = tuple(edge for edge in graph.edges if node in (edge.source, edge.target))[:n]
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    return EvidenceSummary(
        criterion=graph.criterion,
        counts=tuple(
            KindCount(kind=kind, n=len(found), n_validated=sum(edge.grade == "validated" for edge in found))
            for kind in get_args(EvidenceKind)
            for found in [_of(graph, kind)]
        ),
        mechanism_summary=graph.mechanism_summary,
        nodes=tuple(one for one in graph.nodes if one.id in ends),
        edges=edges,
        supernodes=graph.supernodes[:_MOST_GROUPS],
        candidate_paths=graph.candidate_paths[:_MOST_CANDIDATES],
    )


def _of(graph: CriterionGraph, kind: EvidenceKind) -> list[EvidenceEdge]:
    return [edge for edge in graph.edges if edge.kind == kind]


def strongest_paths(report: GraphReport, n: int) -> tuple[GraphPath, ...]:
    """Return the ways from a token to the likeliest logit whose product of shares is largest, found best first."""
    logits: list[GraphNode] = [node for node in report.nodes if node.kind == "logit"]
    if not logits:
        return ()
    into: dict[str, list[tuple[float, str]]] = defaultdict(list)
    total: dict[str, float] = defaultdict(float)
    for edge in report.edges:
        total[edge.target] += abs(edge.weight)
    for edge in report.edges:
        into[edge.target].append((abs(edge.weight) / total[edge.target], edge.source))
    kinds = {node.id: node.kind for node in report.nodes}
    waiting: list[tuple[float, tuple[str, ...]]] = [(-1.0, (logits[0].id,))]
    found: list[GraphPath] = []
    steps = 0
    while waiting and len(found) < n and steps < _MOST_STEPS:
        share, path = heapq.heappop(waiting)
        steps += 1
        if kinds[path[0]] in ("embedding", "error"):
            found.append(GraphPath(nodes=path, share=-share))
            continue
        for part, source in into[path[0]]:
            heapq.heappush(waiting, (share * part, (source, *path)))
    return tuple(found)


def neighbours(report: GraphReport, node: str, n: int) -> tuple[tuple[GraphEdge, ...], tuple[GraphEdge, ...]]:
    """Return the largest edges into a node and out of it."""
    inputs = [edge for edge in report.edges if edge.target == node]
    outputs = [edge for edge in report.edges if edge.source == node]
    return tuple(inputs[:n]), tuple(outputs[:n])
