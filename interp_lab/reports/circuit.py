"""The report of a circuit as a self-contained HTML page and as Markdown; both show what report.json says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interp_lab.contracts.circuit_report import CircuitEdge, CircuitNode, CircuitPoint, CircuitReport
from interp_lab.reports.graph_view import GraphView, Link, Mark, R, relative, view_json
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.sheet import html_templates

_ROW, _APART, _RAISED, _MOST_CUT = 80.0, 150.0, 24.0, 60
PLOT_WIDTH, PLOT_HEIGHT, _LEFT = 640, 220, 46
_MOST_EDGES = 60
"""Edges in the tables; all of them are in report.json."""


def render_circuit(report: CircuitReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    cut = _cut(report)
    return (
        html_templates()
        .get_template("circuit.html.j2")
        .render(
            report=report,
            data=view_json(_view(report, cut)),
            groups=(),
            share=100,
            n_cut=len(cut),
            plot=_plot(report),
            plot_width=PLOT_WIDTH,
            plot_height=PLOT_HEIGHT,
            edges=_shown(report),
        )
    )


def render_circuit_markdown(report: CircuitReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    settings, controls, check = report.settings, report.controls, report.attribution
    correlation = "–" if check.correlation is None else short(check.correlation)
    lines = ["# Circuit", "", escaped(report.headline), "", *(f"- {escaped(caveat)}" for caveat in report.caveats)]
    lines += [
        "",
        f"Model {code_span(report.model.id)}. Edges ablated to **{settings.ablation}**; metric "
        f"{escaped(settings.metric)} at the {settings.positions} token; an edge stays cut at "
        f"{percent(settings.tolerance)} of the whole difference. "
        f"{report.n_prompts[0]} explore and {report.n_prompts[1]} held-out prompts in {report.n_groups} groups, "
        f"{report.n_tests} exact tests.",
        "",
        f"Grade **{report.grade}**: {escaped(' '.join(reason.text for reason in report.reasons))}",
        "",
        f"Random circuits of the same shape ({controls.n}): mean {short(controls.mean)}, largest "
        f"{short(controls.largest)}, p {chance(controls.p_value)}. On explore prompts the circuit's faithfulness was "
        f"{short(report.on_explore)}.",
        f"Attributions in {check.n_steps} steps miss the whole difference by {percent(check.sum_error)}; correlation "
        f"with exact single cuts {correlation} over {check.n_edges} edges.",
        "",
        "## By size",
        "",
        "| edges | share | faithfulness (95 %) | left without them |\n|---|---|---|---|",
        *(_size(point) for point in report.curve),
        "",
        f"Area under faithfulness {short(report.area_kept)}, area to 1 {short(report.area_missed)}.",
        "",
        "## Edges",
        "",
        "| edge | kept | cost of cutting | attribution |\n|---|---|---|---|",
        *(
            f"| {escaped(edge.source)} → {escaped(edge.target)} | {'yes' if edge.in_circuit else 'no'} "
            f"| {short(edge.cost)} | {short(edge.attribution)} |"
            for edge in _shown(report)
        ),
    ]
    return "\n".join(lines) + "\n"


def _shown(report: CircuitReport) -> tuple[CircuitEdge, ...]:
    return report.edges[: max(_MOST_EDGES, report.circuit.n_edges)]


def _size(point: CircuitPoint) -> str:
    low, high = point.faithfulness_interval.low, point.faithfulness_interval.high
    return (
        f"| {point.n_edges} | {percent(point.share)} | {short(point.faithfulness)} [{short(low)}, {short(high)}] "
        f"| {short(point.completeness)} |"
    )


def _cut(report: CircuitReport) -> tuple[CircuitEdge, ...]:
    """The costliest edges that did not stay."""
    return tuple(edge for edge in report.edges if not edge.in_circuit)[:_MOST_CUT]


def _view(report: CircuitReport, cut: Sequence[CircuitEdge]) -> GraphView:
    """Readers above their writers: a row per layer, its MLP a little higher, the logits on top."""
    rows: dict[int, list[CircuitNode]] = {}
    for node in report.nodes:
        rows.setdefault(_level(node.name), []).append(node)
    levels = sorted(rows, reverse=True)
    width = _APART * max(map(len, rows.values()))
    marks = tuple(
        _mark(
            node, round(width * (i + 0.5) / len(rows[level]), 1), place * _ROW - _RAISED * node.name.startswith("mlp")
        )
        for place, level in enumerate(levels)
        for i, node in enumerate(rows[level])
    )
    drawn = [*(edge for edge in report.edges if edge.in_circuit), *cut]
    return GraphView(
        marks=marks,
        links=tuple(_link(edge, size) for edge, size in zip(drawn, relative([e.cost for e in drawn]), strict=True)),
        captions=(),
        lanes=tuple((0.0, place * _ROW, width, place * _ROW) for place in range(len(levels))),
        groups=(),
        box=(-30.0, -50.0, width + 60.0, len(levels) * _ROW + 20.0),
        across=False,
    )


def _mark(node: CircuitNode, x: float, y: float) -> Mark:
    told = f"{'in the circuit' if node.in_circuit else 'no edge in the circuit'}; its costliest edge {short(node.cost)}"
    style = "unit" if node.in_circuit else "error"
    return Mark(node.name, style, x, y, R if node.in_circuit else R / 2, node.name, named=True, told=told)


def _link(edge: CircuitEdge, size: float) -> Link:
    style = "validated" if edge.in_circuit else "like_controls"
    told = f"{'kept' if edge.in_circuit else 'cut'}; attribution {short(edge.attribution)}"
    return Link(edge.source, edge.target, style, (), round(size, 4), f"cost {short(edge.cost)}", told)


def _level(name: str) -> int:
    if name in ("embed", "positions"):
        return -1
    return 10_000 if name == "logits" else int(name.split(".")[1])


class _Plot(NamedTuple):
    """The curve by size, sizes evenly spaced."""

    faithful: str
    complete: str
    whiskers: tuple[tuple[float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, str], ...]


def _plot(report: CircuitReport) -> _Plot:
    points = report.curve
    values = [v for p in points for v in (p.faithfulness, p.completeness)]
    low, high = min(0.0, *values), max(1.0, *values)

    def x(i: int) -> float:
        return round(_LEFT + (PLOT_WIDTH - _LEFT - 20) * i / max(1, len(points) - 1), 1)

    def y(value: float) -> float:
        clipped = min(max(value, low), high)
        return round(12 + (PLOT_HEIGHT - 46) * (high - clipped) / (high - low), 1)

    return _Plot(
        faithful=" ".join(f"{x(i)},{y(p.faithfulness)}" for i, p in enumerate(points)),
        complete=" ".join(f"{x(i)},{y(p.completeness)}" for i, p in enumerate(points)),
        whiskers=tuple(
            (x(i), y(p.faithfulness_interval.low), y(p.faithfulness_interval.high)) for i, p in enumerate(points)
        ),
        ticks=tuple((x(i), str(p.n_edges)) for i, p in enumerate(points)),
        levels=tuple((y(level), short(level)) for level in (0.0, 0.5, 1.0)),
    )
