"""The training report as a self-contained HTML page with its curves, and as a Markdown table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.contracts.train_sae import TrainingReport
from interp_lab.reports import curves
from interp_lab.reports.curves import Panel, Points, panel
from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.markdown import code_cell, escaped
from interp_lab.reports.numbers import count, duration, fixed, percent, short
from interp_lab.reports.visible import visible

_TITLES = {
    "held_out_fvu": "Held-out FVU",
    "fvu": "FVU of the batch",
    "l0": "L0 of the batch",
    "dead_fraction": "Dead share",
    "loss": "Loss",
    "tokens_per_s": "Tokens per second",
}


def render_training(report: TrainingReport, lines: Sequence[Mapping[str, float]]) -> str:
    """Return a complete HTML document; `lines` are rows of measurements along the way."""
    return (
        _environment()
        .get_template("training.html.j2")
        .render(report=report, panels=training_panels(lines), names=[row.name for row in report.dictionaries])
    )


def training_panels(lines: Sequence[Mapping[str, float]]) -> tuple[Panel, ...]:
    """Return one panel per quantity that was measured, with one line per dictionary."""
    found: defaultdict[str, defaultdict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for name, value in line.items():
            owner, _, figure = name.rpartition("/")
            if figure in _TITLES:
                found[figure][owner].append((line["tokens"], value))
    panels = (panel(title, _as_points(found[figure])) for figure, title in _TITLES.items() if figure in found)
    return tuple(each for each in panels if each is not None)


def _as_points(curves_of: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Points]:
    return dict(curves_of)


def render_training_markdown(report: TrainingReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    head = "| dictionary | place | latents | FVU (95 %) | L0 | dead | cosine | tokens | time | flags |"
    rule = "|---|---|---|---|---|---|---|---|---|---|"
    rows = [
        f"| {code_cell(row.name)} | {escaped(row.place)} | {count(row.n_latents)} "
        f"| {fixed(row.fvu)} [{fixed(row.fvu_interval[0])}, {fixed(row.fvu_interval[1])}] | {short(row.l0)} "
        f"| {percent(row.dead_fraction)} | {fixed(row.cosine)} | {count(row.tokens)} | {duration(row.seconds)} "
        f"| {escaped(', '.join(row.flags)) or '–'} |"
        for row in report.dictionaries
    ]
    cautions = [f"- {escaped(caveat)}" for caveat in report.caveats]
    return "\n".join(["# Training report", "", escaped(report.headline), "", *cautions, "", head, rule, *rows]) + "\n"


@cache
def _environment() -> Environment:
    sizes = {"width": curves.WIDTH, "height": curves.HEIGHT, "left": curves.LEFT, "right": curves.RIGHT}
    return environment(_printable, names=sizes)


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines)) else value
