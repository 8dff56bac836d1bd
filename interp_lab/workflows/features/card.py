"""One card put together: every part that store, dictionary and model allow, with a note on what they do not."""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.contracts.features import ShowFeatureRequest, ShowFeatureResult
from interp_lab.reports.figures import TokenHeat
from interp_lab.settings import Settings
from interp_lab.workflows.features.associations import MAX_TARGETS, associated
from interp_lab.workflows.features.contexts import choose_contexts, context_heat, shown_contexts
from interp_lab.workflows.features.logits import Logits, logits_of
from interp_lab.workflows.features.neighbours import coactive, decoder_neighbours
from interp_lab.workflows.features.signal import Signal, activations, density, read_signal
from interp_lab.workflows.features.subject import Subject
from interp_lab.workflows.features.triggers import flags, triggers, weight_flags
from interp_lab.workflows.features.wording import flag_warnings, next_actions, summary


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """The answer, and what only the page shows."""

    result: ShowFeatureResult
    heat: TokenHeat | None
    logits: Logits | None


def make_card(subject: Subject, request: ShowFeatureRequest, settings: Settings) -> Card:
    """Return the card of a latent or coordinate; errors as `logits_of`."""
    card = ShowFeatureResult(summary="", feature=subject.feature)
    logits = logits_of(subject, request, settings)
    if isinstance(logits, Logits):
        card = card.model_copy(update={"logits": logits.tokens})
    elif logits is not None:
        card = _noted(card, f"Promoted tokens are left out: {logits}")
    heat = None
    if subject.view is not None:
        signal = read_signal(subject.view, subject.ref)
        card = _with_activity(card, signal, is_latent=subject.is_latent)
        if signal.active.size:
            card = _with_statistics(card, signal, request, is_latent=subject.is_latent)
            chosen = choose_contexts(signal, request)
            card = card.model_copy(update={"contexts": shown_contexts(signal, chosen)})
            heat = context_heat(signal, chosen)
    card = _with_weights(card, subject, request)
    return Card(_in_words(card, subject, request), heat, logits if isinstance(logits, Logits) else None)


def _with_activity(card: ShowFeatureResult, signal: Signal, *, is_latent: bool) -> ShowFeatureResult:
    found = density(signal)
    marks = tuple(flags(signal, found, is_latent=is_latent))
    return card.model_copy(update={"density": found, "activations": activations(signal), "flags": marks})


def _with_statistics(
    card: ShowFeatureResult, signal: Signal, request: ShowFeatureRequest, *, is_latent: bool
) -> ShowFeatureResult:
    tests = associated(signal, request.n_associations)
    card = card.model_copy(update={"triggers": triggers(signal, request.n_tokens), "associations": tests.found})
    if tests.n_left:
        card = _noted(card, f"{tests.n_left} targets beyond {MAX_TARGETS} were not tested; query associate tests all.")
    if not (is_latent and request.n_nearest):
        return card
    found = coactive(signal, request.n_nearest, seed=request.seed)
    return card.model_copy(update={"coactive": found.latents, "coactive_rows": found.rows})


def _with_weights(card: ShowFeatureResult, subject: Subject, request: ShowFeatureRequest) -> ShowFeatureResult:
    if subject.dictionary is None:
        return card
    weights = subject.dictionary.weights_of(subject.unit)
    nearest = decoder_neighbours(subject.dictionary, subject.unit, request.n_nearest)
    marks = (*card.flags, *weight_flags(weights))
    return card.model_copy(update={"weights": weights, "nearest": nearest, "flags": marks})


def _in_words(card: ShowFeatureResult, subject: Subject, request: ShowFeatureRequest) -> ShowFeatureResult:
    return card.model_copy(
        update={
            "summary": summary(card, is_latent=subject.is_latent),
            "warnings": (*flag_warnings(card, is_latent=subject.is_latent), *card.warnings),
            "agent_next_actions": next_actions(subject, request, card),
        }
    )


def _noted(card: ShowFeatureResult, note: str) -> ShowFeatureResult:
    return card.model_copy(update={"warnings": (*card.warnings, note)})
