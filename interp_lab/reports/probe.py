"""The report of a probe as Markdown: the headline, the best column beside its controls, the sweep."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.contracts.probe import ProbeReport
from interp_lab.reports.environment import environment
from interp_lab.reports.markdown import MarkdownText, code_cell, escaped

CONTROL_WORDS = {
    "shuffled_targets": "probes trained on shuffled targets",
    "random_directions": "read-outs of random directions",
    "constant_guess": "a guess that looks at nothing",
    "surface": "surface alone: length, position, form",
    "words": "words of the prompt alone",
    "token_identity": "which token it is, alone",
}


def render_probe(report: ProbeReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline; equal reports give equal text."""
    text = (
        _environment()
        .get_template("probe.md.j2")
        .render(
            report=report, words=CONTROL_WORDS, classes=", ".join(report.classes), reasons=", ".join(report.reasons)
        )
    )
    return text.strip() + "\n"


@cache
def _environment() -> Environment:
    return environment(_finalized, filters={"code_cell": code_cell})


def _finalized(value: object) -> object:
    return escaped(value) if isinstance(value, str) and not isinstance(value, (Markup, MarkdownText)) else value
