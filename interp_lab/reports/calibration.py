"""The calibration report as a self-contained HTML page with its curves, and as Markdown; both show report.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from jinja2 import Environment

from interp_lab.contracts.calibrate import Axis, BarState, Share
from interp_lab.contracts.calibration_report import CalibrationReport, CurvePoint
from interp_lab.reports import curves
from interp_lab.reports.curves import Panel, Points, panel
from interp_lab.reports.environment import environment, printable
from interp_lab.reports.markdown import escaped
from interp_lab.reports.numbers import count, duration, fixed
from interp_lab.reports.sheet_tables import Table, table_lines

EASY_AT: dict[Axis, float] = {"effect": 3.0, "noise": 0.0, "prompts": 64, "confounding": 0.5}
"""Where the easy setting lies on each axis that has numbers."""
_MET: Mapping[BarState, str] = {"met": "yes", "missed": "NO"}
_MEASURES = ("recall", "confirmed", "precision", "decoys", "redundancy")


def render_calibration(report: CalibrationReport) -> str:
    """Return a complete HTML document."""
    template = _environment().get_template("calibration.html.j2")
    return template.render(report=report, tables=tables(report), panels=list(panels(report)), names=_MEASURES)


def render_calibration_markdown(report: CalibrationReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines: list[str] = ["# Calibration", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += table_lines(tables(report))
    return "\n".join(lines) + "\n"


def tables(report: CalibrationReport) -> tuple[Table, ...]:
    """Return every table of the report."""
    return (_bars(report), _grades(report), _decoys(report), _curve(report), _missed(report))


def panels(report: CalibrationReport) -> Iterator[Panel]:
    """Yield one panel of curves for each axis with numbers."""
    easy = next((point for point in report.curve if point.axis == "easy"), None)
    for axis, at in EASY_AT.items():
        along = [(float(point.value), point) for point in report.curve if point.axis == axis]
        if along:
            along = sorted([*along, (at, easy)] if easy else along, key=lambda item: item[0])
            found = panel(axis, {name: _line_of(along, name) for name in _MEASURES})
            if found is not None:
                yield found


def _line_of(along: list[tuple[float, CurvePoint]], name: str) -> Points:
    values: list[tuple[float, Share | None]] = [(x, getattr(point, name)) for x, point in along]
    return [(x, found.share) for x, found in values if found is not None]


def _bars(report: CalibrationReport) -> Table:
    rows = [
        (
            bar.name.replace("_", " "),
            bar.text,
            share(bar.found),
            f"≥ {bar.at_least:g}" if bar.at_least is not None else f"≤ {bar.at_most:g}",
            _MET.get(bar.state) or ("found so, not shown" if bar.holds else "not found so, not excluded"),
        )
        for bar in report.bars
    ]
    return Table("bars", "What must hold", "", ("", "share of", "found [95 %], n", "bar", "holds"), tuple(rows))


def _grades(report: CalibrationReport) -> Table:
    note = "Over all settings, those that are meant to break included. Intervals count models, not latents."
    rows = tuple((row.grade, share(row.causal)) for row in report.grades)
    return Table("grades", "What a grade is worth", note, ("grade", "causes [95 %], n"), rows)


def _decoys(report: CalibrationReport) -> Table:
    rows = tuple((row.kind, share(row.called_causal), share(row.validated)) for row in report.decoys)
    head = ("no cause", "called one [95 %], n", "validated")
    note = "Called one: validated, or with a confirmed effect whatever the association."
    return Table("decoys", "Decoys by kind, over all settings", note, head, rows)


def _curve(report: CalibrationReport) -> Table:
    rows = tuple(
        (
            f"{point.axis} {point.value}".strip(),
            *(share(getattr(point, name)) for name in _MEASURES),
            duration(point.seconds),
        )
        for point in report.curve
    )
    head = ("setting", "causes validated", "confirmed", "validated that are causes", "decoys", "pairs", "time")
    note = (
        f"Easy: effect {EASY_AT['effect']:g} logits, {EASY_AT['prompts']:g} prompts, no noise, no confound; in every "
        "other setting one thing differs."
    )
    return Table("curve", "Where it breaks", note, head, rows)


def _missed(report: CalibrationReport) -> Table:
    rows = tuple((reason, count(n)) for reason, n in report.missed.items())
    note = "Causes over all settings; one may have several reasons."
    return Table("missed", "Why causes were not validated", note, ("reason", "causes"), rows)


def share(found: Share | None) -> str:
    """Return a share with its interval and sample as text."""
    return "–" if found is None else f"{fixed(found.share)} [{fixed(found.low)}, {fixed(found.high)}], {found.n}"


@cache
def _environment() -> Environment:
    return environment(printable, names={"curves": curves})
