"""A figure as one self-contained HTML page: no request leaves it, and it can be read without its script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from interp_lab.reports.environment import Lines, environment
from interp_lab.reports.figure_view import figure_view
from interp_lab.reports.figures import Figure
from interp_lab.reports.visible import visible


def render_figure_html(figure: Figure, caption: str) -> str:
    """Return a complete HTML document, well-formed as XML too; the caption is the answer that the figure belongs to."""
    return (
        _environment().get_template("figure.html.j2").render(figure=figure, view=figure_view(figure), caption=caption)
    )


@cache
def _environment() -> Environment:
    return environment(_printable)


def _printable(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, (Markup, Lines)) else value
