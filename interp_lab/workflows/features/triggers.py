"""The tokens on which a unit is active, and the signs that it is about tokens or places and not about meaning."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from interp_lab.contracts.features import Density, FeatureCode, TriggerToken, Weights
from interp_lab.statistics.arrays import Ints
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.signal import Signal
from interp_lab.workflows.querying.texts import TOKEN_CHARS, clipped

DENSE_RATE = 0.1
FEW_GROUPS = 20
NEARLY_ALL = 0.95
_LEAST_ROWS = 5
_RIGHT_ANGLE = 0.1


def triggers(signal: Signal, n: int) -> tuple[TriggerToken, ...]:
    """Return the tokens with the largest share of the unit's active rows."""
    active = _token_counts(signal)
    total = prepared(signal.view).token_rows
    texts = signal.view.tokens.texts
    order = np.argsort(-active, kind="stable")[:n]
    return tuple(
        TriggerToken(
            token=clipped(texts[int(code)].as_py(), TOKEN_CHARS),
            share=rounded(float(active[code]) / signal.active.size),
            rate=rounded(float(active[code]) / float(total[code])),
            rows=int(total[code]),
        )
        for code in order
        if active[code]
    )


def flags(signal: Signal, found: Density, *, is_latent: bool) -> Iterator[FeatureCode]:
    """Yield what makes a unit suspicious on these rows."""
    if not signal.active.size:
        yield "dead"
        return
    if is_latent and found.rate >= DENSE_RATE:
        yield "dense"
    if found.active_groups < FEW_GROUPS:
        yield "few_groups"
    if signal.active.size >= _LEAST_ROWS:
        yield from _one_sided(signal, found)


def weight_flags(weights: Weights) -> Iterator[FeatureCode]:
    """Yield what makes the weights of a latent suspicious."""
    if weights.cosine is not None and abs(weights.cosine) < _RIGHT_ANGLE:
        yield "weak_encoder"


def _one_sided(signal: Signal, found: Density) -> Iterator[FeatureCode]:
    rows = signal.active
    if found.active_prompts == 1:
        yield "one_prompt"
    if _token_counts(signal).max(initial=0) >= NEARLY_ALL * rows.size:
        yield "one_token"
    if prepared(signal.view).special[rows].mean() >= NEARLY_ALL:
        yield "special_tokens"
    positions = np.unique(signal.view.position[rows], return_counts=True)
    if positions[1].max() >= NEARLY_ALL * rows.size:
        yield "first_position" if positions[0][np.argmax(positions[1])] == 0 else "one_position"


def _token_counts(signal: Signal) -> Ints:
    """Active rows of every token of the vocabulary."""
    codes = signal.view.tokens.codes[signal.active]
    return np.bincount(codes[codes >= 0], minlength=len(signal.view.tokens.texts))
