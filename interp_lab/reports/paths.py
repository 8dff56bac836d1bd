"""The report of paths as a self-contained HTML page, as Markdown and as a graph; all show what report.json says."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import JsonValue

from interp_lab.contracts.path_report import PathCard, PathEnd, PathFigures, PathReport
from interp_lab.reports.grades import GRADES
from interp_lab.reports.graph_view import GraphView, Link, Mark, R, columns_of, view_json
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.sheet import html_templates
from interp_lab.reports.visible import shortened, visible

_HEAD = (
    "| # | path | status | grade | mediated (95 %) | passed along | total | direct | random sources | q | same sign "
    "| output |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)
_PARTS_WIDTH, _PARTS_LEFT, _PARTS_RIGHT, _PARTS_ROW = 440.0, 96.0, 70.0, 20.0


class PartRow(NamedTuple):
    """One part of an effect as a bar."""

    label: str
    value: str
    x: float
    width: float
    y: float
    whisker: tuple[float, float] | None


class Parts(NamedTuple):
    """The parts of one path's effect as bars from 0, and how far random sources reach."""

    rows: tuple[PartRow, ...]
    control: tuple[float, float]
    """Left edge and width."""
    zero: float
    width: float
    height: float


def render_paths(report: PathReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    return (
        html_templates()
        .get_template("paths.html.j2")
        .render(
            report=report,
            shown=[(card, _parts(found) if (found := shown(card)) else None) for card in report.paths],
            statuses=list(dict.fromkeys(card.status for card in report.paths)),
            data=view_json(path_view(report)),
            groups=(),
            share=100,
        )
    )


def path_view(report: PathReport) -> GraphView:
    """Return the drawing: addresses from left to right by depth, the behaviour last."""
    ends = {end.key: end for card in report.paths for end in (card.source, card.target)}
    columns = columns_of(
        {key: ("\uffff" if end.unit is None else end.address) for key, end in ends.items()}, names={"\uffff": "output"}
    )
    return GraphView(
        marks=tuple(_mark(end, columns.spots[key]) for key, end in ends.items()),
        links=tuple(map(_drawn, sorted(report.paths, key=lambda card: -_share(card)))),
        captions=columns.captions,
        lanes=tuple((caption.x, -26.0, caption.x, columns.height) for caption in columns.captions),
        groups=(),
        box=(-90.0, -70.0, columns.right + 180.0, columns.height + 100.0),
        across=True,
    )


def _mark(end: PathEnd, spot: tuple[float, float]) -> Mark:
    behaviour = end.unit is None
    told = "the output" if behaviour else f"unit at {end.address}"
    style, r = ("behaviour", 2 * R) if behaviour else ("unit", R)
    return Mark(visible(end.key), style, *spot, r, shortened(end.key, 80), named=True, told=visible(told))


def _drawn(card: PathCard) -> Link:
    found = shown(card)
    value = "not measured" if found is None else f"mediated {short(found.mediated)}"
    told = f"{card.status.replace('_', ' ')}; {GRADES[card.grade].label}"
    ends = visible(card.source.key), visible(card.target.key)
    return Link(*ends, card.status, (), min(1.0, _share(card)), value, told)


def _share(card: PathCard) -> float:
    found = shown(card)
    return 0.0 if found is None else abs(found.share)


def _parts(found: PathFigures) -> Parts:
    values = [("total", found.total), ("passed along", found.passed_along), ("mediated", found.mediated)]
    values += [] if found.direct is None else [("direct", found.direct)]
    spread = max((control.size for control in found.controls), default=0.0)
    interval = (found.mediated_interval.low, found.mediated_interval.high)
    ends = [0.0, spread, -spread, *interval, *(value for _, value in values)]
    low, high = min(ends), max(ends)
    scale = (_PARTS_WIDTH - _PARTS_LEFT - _PARTS_RIGHT) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return round(_PARTS_LEFT + (value - low) * scale, 1)

    rows = tuple(
        PartRow(
            label=label,
            value=short(value),
            x=x(min(0.0, value)),
            width=round(abs(value) * scale, 1),
            y=_PARTS_ROW * (place + 0.75),
            whisker=(x(interval[0]), x(interval[1])) if label == "mediated" else None,
        )
        for place, (label, value) in enumerate(values)
    )
    control = (x(-spread), round(2 * spread * scale, 1))
    return Parts(rows, control, x(0.0), _PARTS_WIDTH, _PARTS_ROW * len(rows) + 10)


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
        lines += ["", "## How sources were chosen, and how far a linear estimate is off", "", *_screen(report)]
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
    screen, lines = report.screen, list[str]()
    if screen.how is not None:
        how = (
            "exact effects of all"
            if screen.how == "exact"
            else "a gradient estimate and exact effects within its error"
        )
        recall = "not known" if screen.recall is None else short(screen.recall)
        if screen.recall_interval is not None:
            recall += f" [{short(screen.recall_interval.low)}, {short(screen.recall_interval.high)}]"
        lines.append(
            f"- the {screen.n_measured} of {screen.n_sources} sources were chosen by {how}, {screen.n_checked or 0} "
            f"compared; of those with the largest effects the share among them is {recall}"
        )
    return lines + [
        f"- at {short(error.scale)} times the value ({percent(error.relative_size)} of the stream): correlation "
        f"{'–' if error.correlation is None else short(error.correlation)}, relative error "
        f"{'–' if error.relative_error is None else percent(error.relative_error)} over {error.n_pairs} pairs"
        for error in report.screen.errors
    ]
