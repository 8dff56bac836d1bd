"""The attribution graph as a viewer in one HTML file, and as a Markdown digest; both show what graph.json says."""

from __future__ import annotations

import math
from collections import defaultdict

from pydantic import JsonValue

from interp_lab.contracts.attribution_graph import GraphEdge, GraphNode, GraphReport
from interp_lab.reports.graph_summary import summary_of
from interp_lab.reports.graph_view import Caption, GraphView, Group, Link, Mark, R, relative, view_json
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import percent, short
from interp_lab.reports.sheet import html_templates
from interp_lab.reports.visible import shortened, visible

_LISTED = 30
_COLUMN, _ROW = 130.0, 74.0
_NAMED, _SHOWN, _MOST_DRAWN = 12, 400, 6000
"""Nodes whose name stands beside them, edges drawn at first, and those that the page holds at most."""


def render_graph(report: GraphReport) -> str:
    """Return a complete HTML document; equal graphs give equal pages."""
    summary = summary_of(report, n_nodes=_LISTED)
    return (
        html_templates()
        .get_template("attribution_graph.html.j2")
        .render(
            report=report,
            summary=summary,
            data=view_json(_view(report)),
            groups=report.supernodes,
            share=max(5, min(100, round(100 * _SHOWN / max(1, len(report.edges))))),
        )
    )


def render_graph_markdown(report: GraphReport) -> str:
    """Return the digest as GitHub-flavoured Markdown that ends in one newline."""
    summary = summary_of(report, n_nodes=_LISTED)
    lines = ["# Attribution graph", "", escaped(report.headline), "", *(f"- {escaped(c)}" for c in report.caveats)]
    lines += [
        "",
        f"Model {code_span(report.model.id)}, prompt {code_span(report.prompt)}. {report.n_active} latents fire; "
        f"{len(report.nodes)} of {report.n_considered} nodes and {len(report.edges)} edges are left.",
        "",
        "Next tokens: " + ", ".join(code_span(logit) for logit in summary.logits),
        "",
        "## Nodes of most influence",
        "",
        "| node | what | token | activation | influence |\n|---|---|---|---|---|",
    ]
    for node in summary.nodes:
        activation = "–" if node.activation is None else short(node.activation)
        token = code_span(report.tokens[node.position])
        lines.append(
            f"| {code_span(node.id)} | {escaped(node.label)} | {token} | {activation} | {short(node.influence)} |"
        )
    lines += ["", "## Strongest paths", ""]
    lines += [f"- {percent(path.share)}: {' → '.join(map(code_span, path.nodes))}" for path in summary.paths]
    lines += ["", "## Largest edges", "", "| from | to | weight |\n|---|---|---|"]
    lines += [
        f"| {code_span(edge.source)} | {code_span(edge.target)} | {short(edge.weight)} |"
        for edge in report.edges[:_LISTED]
    ]
    return "\n".join(lines) + "\n"


def _view(report: GraphReport) -> GraphView:
    """Tokens are columns, layers are rows; nodes of one cell stand side by side."""
    spots, lefts = _spots(report)
    top, right = _height(report, _depth(report)), lefts[-1]
    rows = range(-1, _depth(report) + 1)
    named = {-1: "tokens", _depth(report): "logits"}
    captions = [Caption(-12.0, _height(report, row) + 4, named.get(row, f"layer {row}"), "end") for row in rows]
    foot = _height(report, -1) + _ROW / 2
    captions += [
        Caption((left + end) / 2, foot, shortened(token, 16), "middle")
        for left, end, token in zip(lefts, lefts[1:], report.tokens, strict=False)
    ]
    strongest = {node.id for node in sorted(report.nodes, key=lambda node: -node.influence)[:_NAMED]}
    drawn = report.edges[:_MOST_DRAWN]
    return GraphView(
        marks=tuple(
            _mark(node, report, spots[node.id], named=node.kind == "logit" or node.id in strongest)
            for node in report.nodes
        ),
        links=tuple(_link(edge, size) for edge, size in zip(drawn, relative([e.weight for e in drawn]), strict=True)),
        captions=tuple(captions),
        lanes=tuple((0.0, _height(report, row), right, _height(report, row)) for row in rows),
        groups=tuple(Group(shortened(group.label, 40), group.members) for group in report.supernodes),
        box=(-90.0, top - 50.0, right + 200.0, foot - top + 80.0),
        across=False,
    )


def _depth(report: GraphReport) -> int:
    deepest = max((node.layer for node in report.nodes if node.layer is not None), default=0)
    return report.model.n_layers or deepest + 1


def _height(report: GraphReport, row: int) -> float:
    return (_depth(report) - row + 0.5) * _ROW


def _spots(report: GraphReport) -> tuple[dict[str, tuple[float, float]], list[float]]:
    """Return where every node stands, and where every token's column starts and the last one ends."""
    cells: dict[tuple[int, int], list[str]] = defaultdict(list)
    for node in report.nodes:
        level = -1 if node.kind == "embedding" else _depth(report) if node.layer is None else node.layer
        cells[node.position, level].append(node.id)
    lefts = [0.0]
    for position in range(len(report.tokens)):
        widest = max((len(found) for (place, _), found in cells.items() if place == position), default=1)
        lefts.append(lefts[-1] + max(_COLUMN, widest * 3 * R))
    spots: dict[str, tuple[float, float]] = {}
    for (position, level), found in cells.items():
        width = lefts[position + 1] - lefts[position]
        for place, node in enumerate(found, start=1):
            spots[node] = (lefts[position] + width * place / (len(found) + 1), _height(report, level))
    return spots, lefts


def _mark(node: GraphNode, report: GraphReport, spot: tuple[float, float], *, named: bool) -> Mark:
    told = [f"{node.kind} {node.id} at token {visible(report.tokens[node.position])}"]
    told += [] if node.layer is None else [f"layer {node.layer}"]
    told += [f"influence {short(node.influence)}"]
    told += [] if node.activation is None else [f"activation {short(node.activation)}"]
    told += [] if node.probability is None else [f"probability {short(node.probability)}"]
    call: JsonValue = None
    if node.dictionary is not None and node.index is not None:
        call = {"tool": "show_feature", "arguments": {"dictionary": node.dictionary, "unit": node.index}}
    r = R * (0.6 + min(1.0, math.sqrt(abs(node.influence))))
    return Mark(node.id, node.kind, *spot, round(r, 1), shortened(node.label, 80), named, ", ".join(told), call)


def _link(edge: GraphEdge, size: float) -> Link:
    raises = edge.weight > 0
    return Link(
        edge.source,
        edge.target,
        "plus" if raises else "minus",
        (),
        round(size, 4),
        short(edge.weight),
        "raises" if raises else "lowers",
    )
