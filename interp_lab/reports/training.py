"""The training report as a self-contained HTML page with its curves and as Markdown; and the page before it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from jinja2 import Environment

from interp_lab.contracts.train_sae import TrainingReport
from interp_lab.reports import curves
from interp_lab.reports.curves import Panel, Points, panel
from interp_lab.reports.environment import environment, printable
from interp_lab.reports.markdown import code_cell, escaped
from interp_lab.reports.numbers import count, duration, fixed, percent, short

_TITLES = {
    "held_out_fvu": "Held-out FVU",
    "fvu": "FVU of the batch",
    "l0": "L0 of the batch",
    "dead_fraction": "Dead share",
    "loss": "Loss",
    "tokens_per_s": "Tokens per second",
}
_WHOLE = 1000


class LiveView(NamedTuple):
    """What is known of a training besides its measurements."""

    what: str
    state: str
    """training, finished, or stopped with a reason."""
    total_tokens: int
    at: datetime
    job_id: str | None


class Latest(NamedTuple):
    """The last figure of one quantity, for every dictionary."""

    figure: str
    title: str
    values: tuple[tuple[str, float], ...]


def render_training(report: TrainingReport, lines: Sequence[Mapping[str, float]]) -> str:
    """Return a complete HTML document; `lines` are rows of measurements along the way."""
    template = _environment().get_template("training.html.j2")
    return template.render(
        report=report, dead_unknown=dead_words(report), panels=training_panels(lines), names=_owners(lines)
    )


def dead_words(report: TrainingReport) -> str:
    """Return what stands for the share of dead latents where fewer tokens were trained than it counts."""
    training = report.request.get("training")
    window = training.get("dead_window_tokens") if isinstance(training, dict) else None
    return f"not known (needs over {count(window)} tokens)" if isinstance(window, int) else "not known"


def render_live(view: LiveView, lines: Sequence[Mapping[str, float]]) -> str:
    """Return a complete HTML document that asks to be loaded again until the training has ended."""
    last: Mapping[str, float] = lines[-1] if lines else {}
    tokens = last.get("tokens", 0.0)
    return (
        _environment()
        .get_template("training_live.html.j2")
        .render(
            view=view,
            running=view.state == "training",
            n_steps=int(last.get("step", 0)),
            tokens=int(tokens),
            share=min(1.0, tokens / view.total_tokens),
            latest=_latest(lines),
            panels=training_panels(lines),
            names=_owners(lines),
        )
    )


def _owners(lines: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the dictionaries that measurements are of, in order; one alone has no name there."""
    return list(dict.fromkeys(name.rpartition("/")[0] for line in lines for name in line if "/" in name))


def _latest(lines: Sequence[Mapping[str, float]]) -> tuple[Latest, ...]:
    """Return the last finite value of every quantity that was measured."""
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        for name, value in line.items():
            owner, _, figure = name.rpartition("/")
            if figure in _TITLES and math.isfinite(value):
                found.setdefault(figure, {})[owner] = value
    return tuple(Latest(each, _TITLES[each], tuple(found[each].items())) for each in _TITLES if each in found)


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
        f"| {dead_words(report) if row.dead_fraction is None else percent(row.dead_fraction)} "
        f"| {fixed(row.cosine)} | {count(row.tokens)} | {duration(row.seconds)} "
        f"| {escaped(', '.join(row.flags)) or '–'} |"
        for row in report.dictionaries
    ]
    cautions = [f"- {escaped(caveat)}" for caveat in report.caveats]
    return "\n".join(["# Training report", "", escaped(report.headline), "", *cautions, "", head, rule, *rows]) + "\n"


@cache
def _environment() -> Environment:
    sizes = {"width": curves.WIDTH, "height": curves.HEIGHT, "left": curves.LEFT, "right": curves.RIGHT}
    return environment(printable, names=sizes, filters={"figure": _figure})


def _figure(value: float) -> str:
    """Return a figure as short as it is read: speeds as whole numbers."""
    return count(round(value)) if abs(value) >= _WHOLE else short(value)
