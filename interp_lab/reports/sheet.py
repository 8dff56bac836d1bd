"""The template environments that pages and Markdown texts share: what is printed is made visible, then escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.reports.environment import Lines, environment, printable
from interp_lab.reports.markdown import MarkdownText, code_cell, code_span, escaped


@cache
def html_templates() -> Environment:
    """Return the environment of HTML pages."""
    return environment(printable)


@cache
def markdown_templates() -> Environment:
    """Return the environment of Markdown texts."""
    return environment(_escaped, filters={"code": code_span, "code_cell": code_cell})


def _escaped(value: object) -> object:
    if isinstance(value, Lines):
        return MarkdownText(value)
    return escaped(value) if isinstance(value, str) and not isinstance(value, (Markup, MarkdownText)) else value
