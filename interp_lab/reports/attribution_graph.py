"""The attribution graph as a viewer in one HTML file, and as a Markdown digest; both show what graph.json says."""

from __future__ import annotations

import json
from functools import cache

from jinja2 import Environment
from markupsafe import Markup
from pydantic import JsonValue

from interp_lab.contracts.attribution_graph import GraphReport
from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.graph_summary import summary_of
from interp_lab.reports.markdown import MarkdownText, code_span, escaped
from interp_lab.reports.numbers import percent, short
from interp_lab.reports.visible import visible

_LISTED = 30


def render_graph(report: GraphReport) -> str:
    """Return a complete HTML document; equal graphs give equal pages."""
    summary = summary_of(report, n_nodes=_LISTED)
    return (
        _environment()
        .get_template("attribution_graph.html.j2")
        .render(report=report, summary=summary, data=json.dumps(_drawn(report), ensure_ascii=True, allow_nan=False))
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


def _drawn(report: GraphReport) -> JsonValue:
    """What the script draws: every text made visible first."""
    return {
        "tokens": [visible(token) for token in report.tokens],
        "n_layers": report.model.n_layers,
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind,
                "pos": node.position,
                "layer": node.layer,
                "label": visible(node.label),
                "activation": node.activation,
                "p": node.probability,
                "influence": node.influence,
                "dictionary": node.dictionary,
                "index": node.index,
            }
            for node in report.nodes
        ],
        "edges": [[edge.source, edge.target, edge.weight] for edge in report.edges],
        "supernodes": [{"label": visible(group.label), "members": list(group.members)} for group in report.supernodes],
        "model": report.model.id,
    }


@cache
def _environment() -> Environment:
    return environment(_printable)


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines, MarkdownText)) else value
