"""The inspect report as one self-contained HTML page: no request leaves it, nothing in it runs but its own script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.reports import heat, profile
from interp_lab.reports.environment import environment, printable
from interp_lab.reports.page import page_view
from interp_lab.reports.plots import association_volcano


def render_html(report: InspectReport) -> str:
    """Return a complete HTML document, well-formed as XML too; equal reports give equal pages.

    Every number that is shown names its place in report.json: a JSON Pointer in `data-at`, relative to the
    nearest `data-in` or numbered item of a `data-list` around it. `data-both` names a field of explore and
    confirm, shown in that order; `data-flip` marks 1 minus the value.
    """
    return (
        _environment()
        .get_template("report.html.j2")
        .render(view=page_view(report), report=report, volcano=association_volcano(report))
    )


@cache
def _environment() -> Environment:
    names = {"profile": profile, "heat_steps": heat.STEPS, "heat_digits": heat.DIGITS}
    return environment(printable, names=names)
