"""The report of a circuit as a self-contained HTML page and as Markdown; both show what report.json says."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.contracts.circuit_report import CircuitEdge, CircuitPoint, CircuitReport
from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.markdown import MarkdownText, code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.visible import visible

WIDTH, _ROW, _MARGIN = 760, 64, 30
PLOT_WIDTH, PLOT_HEIGHT, _LEFT = 640, 220, 46
_MOST_EDGES = 60
"""Edges in the tables; all of them are in report.json."""


class _Spot(NamedTuple):
    """A component in the drawing."""

    name: str
    x: int
    y: int
    on: bool


class _Curve(NamedTuple):
    """An edge of the circuit in the drawing."""

    edge: CircuitEdge
    path: str
    width: float


def render_circuit(report: CircuitReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    spots = _spots(report)
    rows = len({spot.y for spot in spots.values()})
    return (
        _environment()
        .get_template("circuit.html.j2")
        .render(
            report=report,
            spots=spots.values(),
            curves=[_curve(edge, spots) for edge in report.edges if edge.in_circuit][::-1],
            width=WIDTH,
            height=rows * _ROW + _MARGIN,
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


def _spots(report: CircuitReport) -> dict[str, _Spot]:
    """Readers above their writers: one row per kind of component of a layer, the logits on top."""
    rows: dict[tuple[int, int], list[str]] = {}
    for node in report.nodes:
        rows.setdefault(_level(node.name), []).append(node.name)
    on = {node.name for node in report.nodes if node.in_circuit}
    found: dict[str, _Spot] = {}
    for place, level in enumerate(sorted(rows, reverse=True)):
        names = rows[level]
        for i, name in enumerate(names):
            x = round(WIDTH * (i + 1) / (len(names) + 1))
            found[name] = _Spot(name, x, _MARGIN + place * _ROW, name in on)
    return found


def _level(name: str) -> tuple[int, int]:
    if name in ("embed", "positions"):
        return (-1, 0)
    if name == "logits":
        return (10_000, 0)
    kind, layer = name.split(".")[:2]
    return (int(layer), int(kind == "mlp"))


def _curve(edge: CircuitEdge, spots: dict[str, _Spot]) -> _Curve:
    start, end = spots[edge.source], spots[edge.target]
    middle = (start.y + end.y) // 2
    path = f"M{start.x},{start.y - 10} C{start.x},{middle} {end.x},{middle} {end.x},{end.y + 10}"
    return _Curve(edge, path, round(1 + 5 * min(1.0, edge.cost), 2))


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


@cache
def _environment() -> Environment:
    return environment(_printable)


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines, MarkdownText)) else value
