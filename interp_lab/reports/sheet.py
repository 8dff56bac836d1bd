"""The template environments that pages and Markdown texts share: what is printed is made visible, then escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.markdown import MarkdownText, code_cell, code_span, escaped
from interp_lab.reports.visible import visible


@cache
def html_templates() -> Environment:
    """Return the environment of HTML pages."""
    return environment(_printable)


@cache
def markdown_templates() -> Environment:
    """Return the environment of Markdown texts."""
    return environment(_escaped, filters={"code": code_span, "code_cell": code_cell})


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines)) else value


def _escaped(value: object) -> object:
    if isinstance(value, Lines):
        return MarkdownText(value)
    return escaped(value) if isinstance(value, str) and not isinstance(value, (Markup, MarkdownText)) else value
