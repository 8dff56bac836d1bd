"""Token heat maps in little room: a context is its plain text plus three characters per token.

`Heat.code` holds, per token, three base64url digits: the length of its text in UTF-16 units, then twelve
bits: value + 1024 in steps of scale/1023, and whether it lies in a labelled span. The page's script turns
that into coloured tokens; without scripts the text itself is there, with its strongest token marked.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_letters, digits
from typing import NamedTuple

import numpy as np

from interp_lab.contracts.inspect import Context, ContextToken, CoordinateCard
from interp_lab.reports.visible import visible

DIGITS = ascii_letters + digits + "-_"
STEPS = 1023
_LONGEST = 60  # UTF-16 units of one token that are shown; one digit counts to 63


class Heat(NamedTuple):
    """One context ready to be shown: its text before, at and after the strongest token, and the coded values."""

    prompt_id: str
    positive: bool
    pooled: float
    left_before: int
    """Tokens of the prompt that are not shown before the first shown one."""
    left_after: int
    before: str
    strongest: str
    after: str
    code: str


class Scale(NamedTuple):
    """The value range of one card: the largest magnitude, where colour saturates, and whether anything is negative."""

    largest: float
    saturation: float
    has_negative: bool


def strongest_index(tokens: tuple[ContextToken, ...], sign: int) -> int:
    """Return where the coordinate is strongest: furthest in the direction of `sign`, else largest in magnitude."""
    values = [token.value * sign for token in tokens]
    if max(values) <= 0:
        values = [abs(value) for value in values]
    return values.index(max(values))


def strongest_token(card: CoordinateCard) -> str:
    """Return the text of the strongest token of the first context, or nothing when no context has tokens."""
    tokens = next((context.tokens for context in card.contexts if context.tokens), ())
    return tokens[strongest_index(tokens, card.sign)].text if tokens else ""


def scale_of(contexts: Iterable[Context]) -> Scale:
    """Return the value range of all shown tokens; one outlier far above the rest does not wash out the others."""
    values = np.array([token.value for context in contexts for token in context.tokens] or [0.0])
    magnitudes = np.abs(values[values != 0])
    if not magnitudes.size:
        return Scale(0.0, 0.0, has_negative=False)
    largest = float(magnitudes.max())
    usual = 2 * float(np.quantile(magnitudes, 0.98, method="lower"))
    return Scale(largest, min(largest, usual), bool((values < 0).any()))


def windowed(context: Context, sign: int, width: int | None) -> slice:
    """Return which tokens to show: all, or `width` of them around the strongest."""
    total = len(context.tokens)
    if width is None or total <= width:
        return slice(0, total)
    start = min(max(0, strongest_index(context.tokens, sign) - width // 2), total - width)
    return slice(start, start + width)


def heat(context: Context, window: slice, sign: int, scale: Scale) -> Heat:
    """Return the tokens of `window`, their text split at the strongest and their values coded on `scale`."""
    tokens = context.tokens[window]
    texts = [_token_text(token.text) for token in tokens]
    peak = strongest_index(tokens, sign) if tokens else 0
    return Heat(
        prompt_id=context.prompt_id,
        positive=context.positive,
        pooled=context.pooled,
        left_before=context.truncated_before + window.start,
        left_after=context.truncated_after + len(context.tokens) - window.stop,
        before="".join(texts[:peak]),
        strongest="".join(texts[peak : peak + 1]),
        after="".join(texts[peak + 1 :]),
        code="".join(_coded(text, token, scale.largest) for text, token in zip(texts, tokens, strict=True)),
    )


def _token_text(text: str) -> str:
    shown = visible(text)
    while _utf16_units(shown) > _LONGEST:
        shown = shown[: _LONGEST // 2 - 1] + "…" if len(shown) > _LONGEST // 2 else shown[:-2] + "…"
    return shown


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _coded(text: str, token: ContextToken, largest: float) -> str:
    level = round(token.value / largest * STEPS) if largest else 0
    bits = (level + STEPS + 1) * 2 + token.in_span
    return DIGITS[_utf16_units(text)] + DIGITS[bits >> 6] + DIGITS[bits & 63]
