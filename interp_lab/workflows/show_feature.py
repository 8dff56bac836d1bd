"""show_feature: a store, a dictionary or both in, one latent's card out, answered at once. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from interp_lab.contracts.explain import ExplanationRecord
from interp_lab.contracts.features import ShowFeatureRequest, ShowFeatureResult
from interp_lab.reports.feature_card import CardPage
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.identity import identities_of
from interp_lab.workflows.explaining.records import about, in_words
from interp_lab.workflows.features.card import Card, make_card
from interp_lab.workflows.features.subject import Subject, find_subject

Publish = Callable[[ShowFeatureResult, CardPage], ShowFeatureResult]
"""(result, page) → the result with the page published as an artifact."""

_MAX_EXPLANATIONS = 5
_PAGE = {"n_contexts": 12, "n_bands": 10, "n_tokens": 20, "n_nearest": 12, "n_associations": 20}
"""Least lengths of the lists on a page."""


def show_feature(
    request: ShowFeatureRequest, *, settings: Settings, publish: Publish, known: Iterable[ExplanationRecord] = ()
) -> ShowFeatureResult:
    """Return the card, with what is known of explanations, and with a page of it if one was asked for.

    Raises:
        LabError: whatever is wrong with the store, the dictionary, the model or the unit.
    """
    subject = find_subject(request, settings)
    said = _said(subject, known)
    card = _explained(make_card(subject, request, settings), said)
    if not request.html:
        return card.result
    longer = {name: max(least, getattr(request, name)) for name, least in _PAGE.items()}
    full = _explained(make_card(subject, request.model_copy(update=longer), settings), said)
    return publish(card.result, _page(full, card))


def _said(subject: Subject, known: Iterable[ExplanationRecord]) -> tuple[str, ...]:
    if not subject.is_latent:
        return ()
    found = about(known, subject.unit, identities_of(subject))
    return tuple(in_words(record) for record in found[:_MAX_EXPLANATIONS])


def _explained(card: Card, said: tuple[str, ...]) -> Card:
    return replace(card, result=card.result.model_copy(update={"explanations": said})) if said else card


def _page(full: Card, card: Card) -> CardPage:
    spread = None if full.logits is None else (full.logits.counts, full.logits.edges)
    actions = {"agent_next_actions": card.result.agent_next_actions}
    return CardPage(full.result.model_copy(update=actions), full.heat, spread)
