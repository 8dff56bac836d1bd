"""A card in words: the sentence to quote with its caveat, what to be wary of, and what to call next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import FeatureCode, ShowFeatureRequest, ShowFeatureResult
from interp_lab.corpus.catalogue import list_builtin_datasets, load_preset
from interp_lab.workflows.features.subject import Subject

_TELLING: Final = 0.2
"""Share of the active rows from which the most frequent token is worth a word."""
CAVEAT: Final = "What it is active on, not what it causes."
_WEIGHTS_ONLY: Final = "Only weights were read: not what it is active on, nor what it causes."
_WORDS: Final[Mapping[FeatureCode, str]] = {
    "dead": "It is active on no row of this store; it need not be dead on other text.",
    "dense": "It is active on a tenth of the rows or more: single contexts say little about it.",
    "few_groups": "It is active in fewer than 20 independent groups: its numbers rest on little text.",
    "one_token": "At least 95 % of its active rows have one token: it may stand for the token, not for a meaning.",
    "one_prompt": "All of its active rows are of one prompt.",
    "first_position": "At least 95 % of its active rows are at the first position, whatever stands there.",
    "one_position": "At least 95 % of its active rows are at one position: it may stand for the place.",
    "special_tokens": "At least 95 % of its active rows are special tokens, not text.",
    "weak_encoder": "Encoder and decoder are nearly at right angles: what activates it is not what it writes.",
}


def summary(card: ShowFeatureResult, *, is_latent: bool) -> str:
    """Return the sentence to quote."""
    parts = [*_activity(card, "active" if is_latent else "above 0"), *_writing(card)]
    caveat = _WEIGHTS_ONLY if card.density is None else CAVEAT
    return f"{card.feature} {'; '.join(parts) or 'is shown by its weights alone'}. {caveat}"


def flag_warnings(card: ShowFeatureResult, *, is_latent: bool) -> tuple[str, ...]:
    """Return every flag in words, after what an absent store leaves out."""
    how = "encoded with this dictionary (encode_store)" if is_latent else "of its address (harvest)"
    missing = (f"No contexts or density: name a store {how} as store.",) if card.density is None else ()
    return (*missing, *(_WORDS[flag] for flag in card.flags))


def next_actions(subject: Subject, request: ShowFeatureRequest, card: ShowFeatureResult) -> tuple[NextAction, ...]:
    """Return calls that would settle what the card leaves open."""
    return tuple(_next(subject, request, card))


def _activity(card: ShowFeatureResult, how: str) -> Iterator[str]:
    found = card.density
    if found is None:
        return
    if not found.active_rows:
        yield f"is {how} on none of {found.rows} rows ({found.groups} independent groups)"
        return
    yield (
        f"is {how} on {100 * found.rate:.3g} % of {found.rows} rows ({found.active_prompts} of {found.prompts} "
        f"prompts, {found.active_groups} of {found.groups} independent groups)"
    )
    best = card.triggers[0] if card.triggers else None
    if best is not None and best.share >= _TELLING:
        yield f"most often on {best.token!r} ({100 * best.share:.0f} % of those rows)"


def _writing(card: ShowFeatureResult) -> Iterator[str]:
    if card.logits is not None and card.logits.promoted:
        tokens = ", ".join(repr(token) for token, _ in card.logits.promoted[:3])
        yield f"directly promotes {tokens}"


def _next(subject: Subject, request: ShowFeatureRequest, card: ShowFeatureResult) -> Iterator[NextAction]:
    view = subject.view
    if view is None:
        return
    if card.density is not None and card.density.active_rows:
        contexts: dict[str, Any] = {"kind": "contexts", "column": subject.column, "unit": subject.unit}
        yield NextAction(
            tool="query_activations",
            arguments={"store": view.name, "query": contexts, "limit": 20},
            why="Read more contexts, also with conditions on rows.",
        )
    inspect = _inspect(subject, request)
    if inspect is not None:
        yield inspect
    elif card.associations:
        target = card.associations[0].target.partition("=")[0]
        asked: dict[str, Any] = {"kind": "associate", "column": subject.column, "targets": [target]}
        yield NextAction(
            tool="query_activations",
            arguments={"store": view.name, "query": asked},
            why="See whether other units go with it better, corrected over all of them.",
        )


def _inspect(subject: Subject, request: ShowFeatureRequest) -> NextAction | None:
    """Return the test on prompts of its own, where the model, the dictionary and a criterion's prompts are known."""
    manifest = None if subject.view is None else subject.view.store.manifest
    if manifest is None or manifest.model is None or request.dictionary is None or manifest.dataset is None:
        return None
    kind, _, name = manifest.dataset.name.partition(":")
    if kind != "builtin" or name not in list_builtin_datasets():
        return None
    preset = load_preset(name)
    return NextAction(
        tool="inspect",
        arguments={
            "model": manifest.model.id,
            "criterion": preset.criterion,
            "dataset": f"builtin:{name}",
            "pooling": preset.pooling,
            "dictionaries": [request.dictionary],
        },
        why="Test all latents against the criterion of these prompts, with a half of them kept back.",
    )
