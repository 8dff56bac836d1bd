"""A figure as one self-contained HTML page: no request leaves it, and it can be read without its script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from interp_lab.reports.environment import environment, printable
from interp_lab.reports.figure_view import figure_view
from interp_lab.reports.figures import Figure


def render_figure_html(figure: Figure, caption: str) -> str:
    """Return a complete HTML document, well-formed as XML too; the caption is the answer that the figure belongs to."""
    return (
        _environment().get_template("figure.html.j2").render(figure=figure, view=figure_view(figure), caption=caption)
    )


@cache
def _environment() -> Environment:
    return environment(printable)
