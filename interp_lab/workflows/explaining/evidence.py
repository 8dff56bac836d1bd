"""What an explanation may be written from: examples, counts and near-misses of the explore half, put into words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from interp_lab.contracts.explain import AskEvidence, LatentEvidence, TokenShare
from interp_lab.contracts.features import FeatureContext, LogitTokens, ShowFeatureRequest
from interp_lab.errors import TooFewContexts
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.halves import Explained
from interp_lab.workflows.explaining.rules import context_at, one_per_prompt
from interp_lab.workflows.features.contexts import choose_contexts, shown_contexts
from interp_lab.workflows.features.logits import Logits, logits_of
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.querying.texts import TOKEN_CHARS, clipped

_TOKENS, _NAMED, _NEAR_MISSES = 8, 4, 4
_WORTH_NAMING = 0.05


def gather_evidence(explained: Explained, step: AskEvidence, settings: Settings) -> LatentEvidence:
    """Return the evidence.

    Raises:
        TooFewContexts: The latent is active nowhere in the explore half.
    """
    signal = explained.explore_signal
    if not signal.active.size:
        raise TooFewContexts(f"{explained.subject.feature} is active nowhere in the explore half of this store.")
    latent = step.latent
    wanted = ShowFeatureRequest(
        unit=latent.unit,
        store=latent.store,
        dictionary=latent.dictionary,
        n_contexts=step.n_contexts,
        n_bands=step.n_bands,
        n_tokens=_TOKENS,
        seed=step.seed,
    )
    logits = logits_of(explained.subject, wanted, settings)
    promoted = logits.tokens if isinstance(logits, Logits) else None
    tokens = _tokens(explained)
    prompts = np.unique(explained.view.row_prompt[signal.active])
    return LatentEvidence(
        n_active=signal.active.size,
        n_groups=np.unique(explained.view.prompt_group[prompts]).size,
        tokens=tokens,
        contexts=shown_contexts(signal, choose_contexts(signal, wanted)),
        near_misses=_near_misses(explained),
        logits=promoted,
        heuristic=heuristic_words(tokens, promoted),
    )


def heuristic_words(tokens: tuple[TokenShare, ...], logits: LogitTokens | None) -> str:
    """Return a sentence that is put together from counts; it says of itself that it reads no meaning."""
    return f"Heuristic, from counts only: {'; '.join(_parts(tokens, logits))}."


def _parts(tokens: tuple[TokenShare, ...], logits: LogitTokens | None) -> Iterator[str]:
    named = [token for token in tokens[:_NAMED] if token.share >= _WORTH_NAMING]
    if named:
        words = ", ".join(repr(token.token) for token in named)
        yield f"active on {words} ({100 * sum(token.share for token in named):.0f} % of its active tokens)"
        rate = named[0].rate
        if rate < 1:
            yield f"yet on only {100 * rate:.0f} % of all {named[0].token!r}: the context decides"
    else:
        yield "active on many different tokens, none of them often"
    if logits is not None and logits.promoted:
        yield f"directly promotes {', '.join(repr(token) for token, _ in logits.promoted[:3])}"


def _tokens(explained: Explained) -> tuple[TokenShare, ...]:
    codes, texts = explained.view.tokens
    if not len(texts):
        return ()
    explored = codes[explained.explores]
    active = codes[explained.explore_signal.active]
    there = np.bincount(explored[explored >= 0], minlength=len(texts))
    fired = np.bincount(active[active >= 0], minlength=len(texts))
    best = np.argsort(-fired, kind="stable")[:_TOKENS]
    return tuple(
        TokenShare(
            token=clipped(texts[int(code)].as_py(), TOKEN_CHARS),
            share=rounded(float(fired[code] / active.size)),
            rate=rounded(float(fired[code] / there[code])),
        )
        for code in best
        if fired[code]
    )


def _near_misses(explained: Explained) -> tuple[FeatureContext, ...]:
    """Return places in the explore half with the tokens that it is most active on, on which it is not active."""
    codes, texts = explained.view.tokens
    active = codes[explained.explore_signal.active]
    if not len(texts):
        return ()
    fired = np.bincount(active[active >= 0], minlength=len(texts))
    common = np.argsort(-fired, kind="stable")[: min(_NAMED, int(np.count_nonzero(fired)))]
    silent = explained.explores & ~explained.signal.is_active & np.isin(codes, common)
    return context_at(explained, one_per_prompt(explained.view, np.flatnonzero(silent), _NEAR_MISSES))
