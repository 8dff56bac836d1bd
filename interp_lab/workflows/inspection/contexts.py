"""Top contexts: the prompts on which a coordinate is strongest, token by token, cut to a window around the peak.

Owns which token is the peak: the one that decides the pooled value, or weighs most in it. Reports only read it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.inspect_report import Context, ContextToken
from interp_lab.contracts.pooling import Pooling
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.engine.pooling import poolable
from interp_lab.models.tokens import TokenizedPrompt

WINDOW = 40
"""Tokens shown of one prompt."""
DIGITS = 4


def strongest_prompts(pooled: NDArray[np.float32], sign: int, n: int) -> list[int]:
    """Return the n prompts on which a coordinate `(n_prompts,)` is strongest in the direction of sign."""
    return [int(i) for i in np.argsort(-sign * pooled, kind="stable")[:n]]


def context(
    prompt: ScoredPrompt,
    tokens: TokenizedPrompt,
    values: Sequence[float],
    *,
    pooled: float,
    pooling: Pooling,
    positive: bool,
    sign: int,
) -> Context:
    """Return the window of a prompt around the peak of its values, one per token."""
    shown = [i for i, special in enumerate(tokens.special) if not special]
    peak = shown.index(peak_token(prompt, tokens, values, pooling=pooling, sign=sign))
    start = max(0, min(peak - WINDOW // 2, len(shown) - WINDOW))
    window = shown[start : start + WINDOW]
    covered = _covered(prompt, tokens)
    return Context(
        prompt_id=prompt.id or "",
        positive=positive,
        pooled=round(pooled, DIGITS),
        truncated_before=start,
        truncated_after=len(shown) - start - len(window),
        tokens=tuple(
            ContextToken(text=tokens.pieces[i], value=round(float(values[i]), DIGITS), in_span=covered[i])
            for i in window
        ),
        peak=peak - start,
    )


def peak_token(
    prompt: ScoredPrompt, tokens: TokenizedPrompt, values: Sequence[float], *, pooling: Pooling, sign: int
) -> int:
    """Return the token that decides the pooled value of a prompt, or weighs most in it.

    `last` and `max` are decided by one token, whatever the sign. In a mean the token that is furthest in the direction
    of sign weighs most; where none lies in that direction, the one of largest magnitude.
    """
    (counted,) = poolable([tokens], pooling, [[(span.start, span.end) for span in prompt.spans]])
    places = [i for i, counts in enumerate(counted) if counts]
    if pooling == "last":
        return places[-1]
    if pooling == "max":
        return max(places, key=lambda i: values[i])
    furthest = max(places, key=lambda i: sign * values[i])
    return furthest if sign * values[furthest] > 0 else max(places, key=lambda i: abs(values[i]))


def _covered(prompt: ScoredPrompt, tokens: TokenizedPrompt) -> Sequence[bool]:
    if tokens.offsets is None or not prompt.spans:
        return [False] * len(tokens)
    per_span = [tokens.covers((span.start, span.end)) for span in prompt.spans]
    return [any(flags) for flags in zip(*per_span, strict=True)]
