"""show_feature: a store, a dictionary or both in, one latent's card out, answered at once. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.contracts.features import ShowFeatureRequest, ShowFeatureResult
from interp_lab.reports.feature_card import CardPage
from interp_lab.settings import Settings
from interp_lab.workflows.features.card import Card, make_card
from interp_lab.workflows.features.subject import find_subject

Publish = Callable[[ShowFeatureResult, CardPage], ShowFeatureResult]
"""(result, page) → the result with the page published as an artifact."""

_PAGE = {"n_contexts": 12, "n_bands": 10, "n_tokens": 20, "n_nearest": 12, "n_associations": 20}
"""Least lengths of the lists on a page."""


def show_feature(request: ShowFeatureRequest, *, settings: Settings, publish: Publish) -> ShowFeatureResult:
    """Return the card, with a page of it if one was asked for.

    Raises:
        LabError: whatever is wrong with the store, the dictionary, the model or the unit.
    """
    subject = find_subject(request, settings)
    card = make_card(subject, request, settings)
    if not request.html:
        return card.result
    longer = {name: max(least, getattr(request, name)) for name, least in _PAGE.items()}
    full = make_card(subject, request.model_copy(update=longer), settings)
    return publish(card.result, _page(full, card))


def _page(full: Card, card: Card) -> CardPage:
    spread = None if full.logits is None else (full.logits.counts, full.logits.edges)
    actions = {"agent_next_actions": card.result.agent_next_actions}
    return CardPage(full.result.model_copy(update=actions), full.heat, spread)
