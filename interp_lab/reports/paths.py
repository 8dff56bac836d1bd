"""The report of paths as a self-contained HTML page, as Markdown and as a graph; all show what report.json says."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup
from pydantic import JsonValue

from interp_lab.contracts.path_report import PathCard, PathFigures, PathReport
from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.markdown import MarkdownText, code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.visible import visible

_HEAD = (
    "| # | path | status | grade | mediated (95 %) | passed along | total | direct | random sources | q | same sign "
    "| output |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)
_WIDTH, _ROW_HEIGHT = 760, 34


class _Arrow(NamedTuple):
    """One path in the drawing."""

    card: PathCard
    y1: int
    y2: int
    weight: float


def render_paths(report: PathReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    sources = list(dict.fromkeys(card.source.key for card in report.paths))
    targets = list(dict.fromkeys(card.target.key for card in report.paths))
    places = {
        "sources": [(key, _middle(i)) for i, key in enumerate(sources)],
        "targets": [(key, _middle(i)) for i, key in enumerate(targets)],
    }
    arrows = [
        _Arrow(card, _middle(sources.index(card.source.key)), _middle(targets.index(card.target.key)), _weight(card))
        for card in report.paths
    ]
    height = _ROW_HEIGHT * (max(len(sources), len(targets), 1) + 1)
    template = _environment().get_template("paths.html.j2")
    return template.render(report=report, shown=shown, arrows=arrows, width=_WIDTH, height=height, **places)


def render_paths_markdown(report: PathReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    title = "# Traced paths" if report.kind == "trace" else "# Validated paths"
    lines = [title, "", escaped(report.headline), "", *(f"- {escaped(caveat)}" for caveat in report.caveats)]
    settings = report.settings
    lines += [
        "",
        f"Model {code_span(report.model.id)}, {report.dataset.n_prompts} prompts, {report.n_runs} edited runs, "
        f"{report.n_searched} pairs searched. Sources at {escaped(str(settings.address))}, targets pooled by "
        f"{escaped(settings.pool)}; graded at {short(settings.scales[0])} times the source's own value.",
    ]
    lines += ["", _HEAD, *(_row(number, card) for number, card in enumerate(report.paths, start=1))]
    lines += ["", "## Grades", "", *(_grade(card) for card in report.paths)]
    lines += ["", "## Strengths", "", *(_doses(card) for card in report.paths)]
    if report.screen is not None:
        lines += ["", "## How far the estimate that chose them is off", "", *_screen(report)]
    return "\n".join(lines) + "\n"


def graph_of(report: PathReport) -> dict[str, JsonValue]:
    """Return the paths as nodes and edges, each edge with its evidence and its validation."""
    ends = {end.key: end for card in report.paths for end in (card.source, card.target)}
    nodes: list[JsonValue] = [
        {"id": key, "type": "behaviour" if end.unit is None else "unit", "address": end.address}
        for key, end in ends.items()
    ]
    return {
        "model": report.model.id,
        "criterion": report.criterion,
        "nodes": nodes,
        "edges": list(map(_edge, report.paths)),
    }


def shown(card: PathCard) -> PathFigures | None:
    """Return the figures that count: of held-out prompts where there are any."""
    return card.confirm or card.explore


def _edge(card: PathCard) -> JsonValue:
    found = card.confirm or card.explore
    return {
        "source": card.source.key,
        "target": card.target.key,
        "type": "path",
        "evidence": "intervention",
        "figures": None if found is None else found.model_dump(mode="json"),
        "validation": {
            "status": card.status,
            "grade": card.grade,
            "reasons": [reason.code for reason in card.reasons],
            "confirmed_on": None if card.confirm is None else card.confirm.n_groups,
        },
    }


def _row(number: int, card: PathCard) -> str:
    ends = f"{escaped(card.source.key)} → {escaped(card.target.key)}"
    path = f"| {number} | {ends} | {escaped(card.status)} | {escaped(card.grade)} |"
    found = shown(card)
    if found is None:
        return path + " – |" * 8
    low, high = short(found.mediated_interval.low), short(found.mediated_interval.high)
    ratio = min((c.ratio for c in found.controls), default=0.0)
    direct = "–" if found.direct is None else short(found.direct)
    output = "–" if found.behaviour is None else short(found.behaviour)
    part = "" if card.confirm else " (explore)"
    return (
        f"{path} {short(found.mediated)} [{low}, {high}]{part} | {short(found.passed_along)} "
        f"| {short(found.total)} | {direct} | × {short(ratio)} | {chance(found.q_value)} "
        f"| {percent(found.sign_consistency)} | {output} |"
    )


def _grade(card: PathCard) -> str:
    reasons = "; ".join(escaped(reason.text) for reason in card.reasons)
    return f"- {escaped(card.source.key)} → {escaped(card.target.key)}: **{escaped(card.grade)}**. {reasons}"


def _doses(card: PathCard) -> str:
    points = ", ".join(f"{short(dose.scale)}: {short(dose.mediated)} of {short(dose.total)}" for dose in card.doses)
    return f"- {escaped(card.source.key)} → {escaped(card.target.key)}: mediated of total at {escaped(points)}"


def _screen(report: PathReport) -> list[str]:
    assert report.screen is not None
    return [
        f"- at {short(error.scale)} times the value ({percent(error.relative_size)} of the stream): correlation "
        f"{'–' if error.correlation is None else short(error.correlation)}, relative error "
        f"{'–' if error.relative_error is None else percent(error.relative_error)} over {error.n_pairs} pairs"
        for error in report.screen.errors
    ]


def _middle(place: int) -> int:
    return _ROW_HEIGHT * (place + 1)


def _weight(card: PathCard) -> float:
    found = shown(card)
    return 1.0 if found is None else round(1.0 + 5.0 * min(1.0, abs(found.share)), 2)


@cache
def _environment() -> Environment:
    return environment(_printable)


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines, MarkdownText)) else value
