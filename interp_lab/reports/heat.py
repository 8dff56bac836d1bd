"""Token heat maps in little room: a context is its plain text plus three characters per token.

`Heat.code` holds, per token, three base64url digits: the length of its text in UTF-16 units, then twelve
bits: value + 1024 in steps of scale/1023, and whether it lies in a labelled span. The page's script turns
that into coloured tokens; without scripts the text itself is there, with its peak marked. The peak is the record's:
the token that decides the pooled value, or weighs most in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_letters, digits
from typing import NamedTuple

import numpy as np

from interp_lab.contracts.inspect_report import Context, ContextToken, CoordinateCard
from interp_lab.reports.visible import visible

DIGITS = ascii_letters + digits + "-_"
STEPS = 1023
_LONGEST = 60  # UTF-16 units of one token that are shown; one digit counts to 63


class Heat(NamedTuple):
    """One context ready to be shown: its text before, at and after the peak, and the coded values."""

    prompt_id: str
    positive: bool
    pooled: float
    left_before: int
    """Tokens of the prompt that are not shown before the first shown one."""
    left_after: int
    peak: int
    """Place of the peak among the shown tokens."""
    before: str
    at_peak: str
    after: str
    code: str


class Scale(NamedTuple):
    """The value range of one card: the largest magnitude, where colour saturates, and whether anything is negative."""

    largest: float
    saturation: float
    has_negative: bool


def strongest_token(card: CoordinateCard) -> str:
    """Return the text at the peak of the first context, or nothing when there is no context."""
    return card.contexts[0].tokens[card.contexts[0].peak].text if card.contexts else ""


def scale_of(contexts: Iterable[Context]) -> Scale:
    """Return the value range of all shown tokens; one outlier far above the rest does not wash out the others."""
    values = np.array([token.value for context in contexts for token in context.tokens] or [0.0])
    magnitudes = np.abs(values[values != 0])
    if not magnitudes.size:
        return Scale(0.0, 0.0, has_negative=False)
    largest = float(magnitudes.max())
    usual = 2 * float(np.quantile(magnitudes, 0.98, method="lower"))
    return Scale(largest, min(largest, usual), bool((values < 0).any()))


def windowed(context: Context, width: int | None) -> slice:
    """Return which tokens to show: all, or `width` of them around the peak."""
    total = len(context.tokens)
    if width is None or total <= width:
        return slice(0, total)
    start = min(max(0, context.peak - width // 2), total - width)
    return slice(start, start + width)


def heat(context: Context, window: slice, scale: Scale) -> Heat:
    """Return the tokens of `window`, their text split at the peak and their values coded on `scale`."""
    tokens = context.tokens[window]
    texts = [_token_text(token.text) for token in tokens]
    peak: int = context.peak - window.start
    return Heat(
        prompt_id=context.prompt_id,
        positive=context.positive,
        pooled=context.pooled,
        left_before=context.truncated_before + window.start,
        left_after=context.truncated_after + len(context.tokens) - window.stop,
        peak=peak,
        before="".join(texts[:peak]),
        at_peak=texts[peak],
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
