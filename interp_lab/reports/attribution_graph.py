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
_COLUMN, _ROW, _ABREAST, _APART, _LINE, _LOGIT = 110.0, 74.0, 6, 20.0, 20.0, 54.0
"""Least width of a token, height of a layer; nodes of a cell side by side, between them, between their lines; between
logits, the likeliest on the right."""
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
            names={node.id: f"{node.label} @ {report.tokens[node.position]}" for node in report.nodes},
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
    """Tokens are columns, layers are rows; nodes of one cell stand in lines."""
    spots, lefts, heights = _spots(report)
    deepest, right = max(heights), lefts[-1]
    called = {-1: "tokens", deepest: "logits"}
    captions = [Caption(-14.0, at + 4, called.get(row, f"layer {row}"), "end") for row, at in heights.items()]
    foot = heights[-1] + _LINE * 2
    captions += [
        Caption((left + end) / 2, foot, shortened(token, 16), "middle")
        for left, end, token in zip(lefts, lefts[1:], report.tokens, strict=False)
    ]
    between = [node for node in report.nodes if node.kind in ("feature", "error")]
    strongest = {node.id for node in sorted(between, key=lambda node: -node.influence)[:_NAMED]}
    drawn = report.edges[:_MOST_DRAWN]
    return GraphView(
        marks=tuple(
            _mark(node, report, spots[node.id], named=node.kind == "logit" or node.id in strongest)
            for node in report.nodes
        ),
        links=tuple(_link(edge, size) for edge, size in zip(drawn, relative([e.weight for e in drawn]), strict=True)),
        captions=tuple(captions),
        lanes=tuple((0.0, at, right, at) for at in heights.values()),
        groups=tuple(Group(shortened(group.label, 40), group.members) for group in report.supernodes),
        box=(-90.0, heights[deepest] - 60.0, right + 130.0, foot - heights[deepest] + 90.0),
        across=False,
    )


def _spots(report: GraphReport) -> tuple[dict[str, tuple[float, float]], list[float], dict[int, float]]:
    """Return where every node stands, where every token's column starts and the last one ends, and rows by level."""
    deepest = max((node.layer for node in report.nodes if node.layer is not None), default=0)
    top = report.model.n_layers or deepest + 1
    cells: dict[tuple[int, int], list[str]] = defaultdict(list)
    for node in report.nodes:
        level = -1 if node.kind == "embedding" else top if node.layer is None else node.layer
        cells[node.position, level].append(node.id)
    lefts = [0.0]
    for position in range(len(report.tokens)):
        widest = max((len(found) for (place, _), found in cells.items() if place == position), default=1)
        lefts.append(lefts[-1] + max(_COLUMN, min(_ABREAST, widest) * _APART))
    heights: dict[int, float] = {}
    y = 0.0
    for level in range(top, -2, -1):
        lines = max((-(-len(found) // _ABREAST) for (_, row), found in cells.items() if row == level), default=1)
        y += _ROW + (lines - 1) * _LINE / 2
        heights[level] = y
        y += (lines - 1) * _LINE / 2
    spots: dict[str, tuple[float, float]] = {}
    for (position, level), found in cells.items():
        middle, n_lines = (lefts[position] + lefts[position + 1]) / 2, -(-len(found) // _ABREAST)
        for place, node in enumerate(found):
            line, of_line = place // _ABREAST, min(_ABREAST, len(found) - place // _ABREAST * _ABREAST)
            x = middle + (place % _ABREAST - (of_line - 1) / 2) * _APART
            spots[node] = (x, heights[level] + (line - (n_lines - 1) / 2) * _LINE)
    for place, node in enumerate(node for node in report.nodes if node.kind == "logit"):
        spots[node.id] = (lefts[-1] - place * _LOGIT, heights[top])
    return spots, lefts, heights


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
