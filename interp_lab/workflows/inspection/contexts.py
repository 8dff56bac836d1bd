"""Top contexts: the prompts on which a coordinate is strongest, token by token, cut to a window around the peak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.inspect import Context, ContextToken
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.models.tokens import TokenizedPrompt

WINDOW = 40
"""Tokens shown of one prompt."""
DIGITS = 4


def strongest_prompts(pooled: NDArray[np.float32], sign: int, n: int) -> list[int]:
    """Return the n prompts on which a coordinate `(n_prompts,)` is strongest in the direction of sign."""
    return [int(i) for i in np.argsort(-sign * pooled, kind="stable")[:n]]


def context(
    prompt: ScoredPrompt, tokens: TokenizedPrompt, values: Sequence[float], *, pooled: float, positive: bool, sign: int
) -> Context:
    """Return the window of a prompt around the token where sign × value peaks."""
    shown = [i for i, special in enumerate(tokens.special) if not special]
    peak = max(range(len(shown)), key=lambda i: sign * values[shown[i]])
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
    )


def peak_token(context: Context, sign: int) -> str:
    """Return the text of the token at which sign × value peaks."""
    return max(context.tokens, key=lambda token: sign * token.value).text


def _covered(prompt: ScoredPrompt, tokens: TokenizedPrompt) -> Sequence[bool]:
    if tokens.offsets is None or not prompt.spans:
        return [False] * len(tokens)
    per_span = [tokens.covers((span.start, span.end)) for span in prompt.spans]
    return [any(flags) for flags in zip(*per_span, strict=True)]
