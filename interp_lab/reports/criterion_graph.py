"""The fused graph of a criterion as a viewer in one HTML file, a Markdown digest and GraphML; all show graph.json."""

from __future__ import annotations

from typing import get_args

from interp_lab.contracts.criterion_graph import CriterionGraph, EvidenceEdge, EvidenceKind, EvidenceNode, FusedReport
from interp_lab.reports.grades import GRADES
from interp_lab.reports.graph_view import GraphView, Group, Link, Mark, R, columns_of, relative, view_json
from interp_lab.reports.graphml import graphml_of
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import short
from interp_lab.reports.sheet import html_templates
from interp_lab.reports.visible import shortened, visible

KINDS: dict[EvidenceKind, tuple[str, str]] = {
    "path": ("path", "mediated effect of one unit on another, in units of the target"),
    "effect": (
        "effect",
        "change of the behaviour under an edit; controls do the second number, and the grade takes it off",
    ),
    "association": ("association", "AUROC with the criterion; correlation"),
    "co_activation": ("co-activation", "correlation of two units; never graded"),
}
"""What each kind of edge is called, and what its weight is."""
_BESIDE = 280.0
_LISTED, _MOST_DRAWN = 200, 2000


def render_criterion_graph(graph: CriterionGraph) -> str:
    """Return a complete HTML document; equal graphs give equal pages."""
    view = _view(graph)
    names = {node.id: node.name for node in graph.nodes}
    counts = {kind: sum(edge.kind == kind for edge in graph.edges) for kind in get_args(EvidenceKind)}
    return (
        html_templates()
        .get_template("criterion_graph.html.j2")
        .render(
            graph=graph,
            data=view_json(view),
            groups=view.groups,
            kinds={kind: told for kind, told in KINDS.items() if counts[kind]},
            counts=counts,
            names=names,
            edges=list(enumerate(graph.edges))[:_LISTED],
            share=100,
            drawn=len(view.links),
        )
    )


def render_criterion_graph_markdown(graph: CriterionGraph) -> str:
    """Return the digest as GitHub-flavoured Markdown that ends in one newline."""
    names = {node.id: node.name for node in graph.nodes}
    lines = ["# Graph of a criterion", "", escaped(graph.headline), "", *(f"- {escaped(c)}" for c in graph.caveats)]
    lines += ["", f"Criterion {code_span(graph.criterion)}, model {code_span(graph.model.id)}.", "", "## Mechanism", ""]
    lines += [f"- {escaped(sentence)}" for sentence in graph.mechanism_summary]
    for kind, (called, told) in KINDS.items():
        found = [edge for edge in graph.edges if edge.kind == kind]
        if not found:
            continue
        lines += ["", f"## {called.capitalize()}", "", f"Weight: {told}.", ""]
        lines += ["| from | to | weight (95 %) | measured on | grade |", "|---|---|---|---|---|"]
        lines += [_row(edge, names) for edge in found[:_LISTED]]
        if len(found) > _LISTED:
            lines += ["", f"{len(found) - _LISTED} weaker ones stand in graph.json."]
    if graph.supernodes:
        lines += ["", "## Units that say the same", ""]
        lines += [f"- {', '.join(code_span(names.get(m, m)) for m in group.members)}" for group in graph.supernodes]
    lines += ["", "## Reports", ""]
    lines += [f"- {escaped(r.kind)} {code_span(r.artifact)}: {escaped(r.headline)}{_asked(r)}" for r in graph.reports]
    return "\n".join(lines) + "\n"


def criterion_graphml(graph: CriterionGraph) -> str:
    """Return the graph as GraphML; edges keep their kind, grade and validation as attributes."""
    groups = {member: group.id for group in graph.supernodes for member in group.members}
    return graphml_of(
        "criterion",
        (
            (
                node.id,
                {
                    "kind": node.kind,
                    "name": node.name,
                    "address": node.address,
                    "layer": node.layer,
                    "supernode": groups.get(node.id),
                },
            )
            for node in graph.nodes
        ),
        ((edge.source, edge.target, _attributes(edge)) for edge in graph.edges),
        of_nodes={"kind": "string", "name": "string", "address": "string", "layer": "int", "supernode": "string"},
        of_edges={
            "kind": "string", "weight": "double", "low": "double", "high": "double", "control": "double",
            "part": "string", "grade": "string", "status": "string", "groups": "int", "report": "string",
            "prompts": "string",
        },
    )  # fmt: skip


def _attributes(edge: EvidenceEdge) -> dict[str, str | int | float | None]:
    low, high = edge.interval or (None, None)
    rerun = edge.validation
    return {
        "kind": edge.kind,
        "weight": edge.weight,
        "low": low,
        "high": high,
        "control": edge.control,
        "part": edge.part,
        "grade": edge.grade,
        "status": None if rerun is None else rerun.status,
        "groups": None if rerun is None else rerun.n_groups,
        "report": edge.report,
        "prompts": edge.prompts,
    }


def _asked(report: FusedReport) -> str:
    return "" if report.dataset is None else f" ({escaped(report.dataset)}, seed {report.seed})"


def _row(edge: EvidenceEdge, names: dict[str, str]) -> str:
    ends = " | ".join(code_span(names.get(end, end)) for end in (edge.source, edge.target))
    return f"| {ends} | {_weight(edge)} | {edge.part} | {_standing(edge)} |"


def _weight(edge: EvidenceEdge) -> str:
    interval = "" if edge.interval is None else f" [{short(edge.interval[0])}, {short(edge.interval[1])}]"
    return f"{short(edge.weight)}{interval}" + ("" if edge.control is None else f"; controls {short(edge.control)}")


def _standing(edge: EvidenceEdge) -> str:
    graded = "not graded" if edge.grade is None else GRADES[edge.grade].label
    if edge.validation is None:
        return graded
    told = edge.validation.status.replace("_", " ")
    rerun = f"rerun on {edge.validation.n_groups} held-out groups" if edge.validation.n_groups else "not rerun"
    return f"{graded}; {told}, {rerun}"


def _view(graph: CriterionGraph) -> GraphView:
    """Depth from left to right: the addresses in order, then what their units are measured against."""
    edges = graph.edges[:_MOST_DRAWN]
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    nodes = [node for node in graph.nodes if node.id in ends]
    columns = columns_of({n.id: n.address or "" for n in nodes if n.kind == "unit"})
    right, height = columns.right + _BESIDE, columns.height
    apart = max(height / 4, 3 * R) if {"criterion", "behaviour"} <= {node.kind for node in nodes} else 0.0
    beside = {"criterion": (right, height / 2 - apart), "behaviour": (right, height / 2 + apart)}
    spots = {node.id: columns.spots[node.id] if node.kind == "unit" else beside[node.kind] for node in nodes}
    sizes = {
        kind: iter(relative([_size(edge) for edge in edges if edge.kind == kind])) for kind in get_args(EvidenceKind)
    }
    return GraphView(
        marks=tuple(_mark(node, *spots[node.id]) for node in nodes),
        links=tuple(_link(edge, next(sizes[edge.kind])) for edge in edges),
        captions=columns.captions,
        lanes=tuple((caption.x, -26.0, caption.x, height) for caption in columns.captions),
        groups=tuple(
            Group(shortened(graph_name(graph, group.id), 40), tuple(map(visible, group.members)))
            for group in graph.supernodes
        ),
        box=(-70.0, -70.0, right + 140.0, height + 100.0),
        across=True,
    )


def graph_name(graph: CriterionGraph, node: str) -> str:
    """Return what reports call a node."""
    return next((one.name for one in graph.nodes if one.id == node), node)


def _size(edge: EvidenceEdge) -> float:
    return edge.weight - 0.5 if edge.kind == "association" else edge.weight


def _mark(node: EvidenceNode, x: float, y: float) -> Mark:
    told = {"criterion": "what is asked", "behaviour": "the output that edits are measured on"}.get(
        node.kind, f"unit at {node.address or 'no address'}"
    )
    r = R if node.kind == "unit" else 2 * R
    return Mark(visible(node.id), node.kind, x, y, r, shortened(node.name, 80), told=visible(told), named=True)


def _link(edge: EvidenceEdge, size: float) -> Link:
    tags = ["held" if edge.grade == "validated" else "open"]
    if edge.grade in ("validated", "contradicted"):
        tags.append(edge.grade)
    told = f"{KINDS[edge.kind][0]} on {edge.part} prompts; {_standing(edge)}"
    source, target = visible(edge.source), visible(edge.target)
    return Link(source, target, edge.kind, tuple(tags), round(size, 4), _weight(edge), told)
