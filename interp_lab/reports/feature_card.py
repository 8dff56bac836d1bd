"""A feature card as one self-contained HTML page: no request leaves it, and it can be read without its script."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from jinja2 import Environment

from interp_lab.contracts.features import Activations, ShowFeatureResult
from interp_lab.reports import histogram
from interp_lab.reports.environment import environment, printable
from interp_lab.reports.figure_view import figure_view
from interp_lab.reports.figures import TokenHeat
from interp_lab.reports.histogram import histogram_view


class CardPage(NamedTuple):
    """What the page shows."""

    card: ShowFeatureResult
    heat: TokenHeat | None
    """Contexts with the value of every token."""
    logits: tuple[tuple[int, ...], tuple[float, ...]] | None
    """Counts and edges of the contributions of all tokens."""


def render_feature_card(page: CardPage) -> str:
    """Return a complete HTML document, well-formed as XML too."""
    card = page.card
    found = card.activations
    return (
        _environment()
        .get_template("feature_card.html.j2")
        .render(
            card=card,
            view=None if page.heat is None else figure_view(page.heat),
            activity=None if found is None else histogram_view(found.counts, _edges(found), "rows"),
            spread=None if page.logits is None else histogram_view(*page.logits, "tokens"),
            reach=max((abs(value) for _, value in _contributions(card)), default=0.0) or 1.0,
        )
    )


def _edges(found: Activations) -> list[float]:
    n = len(found.counts)
    return [found.min + (found.max - found.min) * place / n for place in range(n + 1)]


def _contributions(card: ShowFeatureResult) -> tuple[tuple[str, float], ...]:
    return () if card.logits is None else (*card.logits.promoted, *card.logits.suppressed)


@cache
def _environment() -> Environment:
    names = {"plot_width": histogram.WIDTH, "plot_height": histogram.HEIGHT, "plot_foot": histogram.FOOT}
    return environment(printable, names=names)
