"""Untrusted text made safe to look at: what cannot be seen is spelled out.

Owns which characters are shown as symbols or escapes. Escaping for a format (HTML, Markdown) is the
template's business and happens on top.
"""

from __future__ import annotations

import unicodedata

_SYMBOLS = {"\n": "↵", "\t": "⇥", "\r": "␍"}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""Return `text` with control, bidirectional, invisible and odd space characters shown as symbols or `\u202e`."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def shortened(text: str, limit: int) -> str:
    """Return `visible(text)`, cut to `limit` characters with an ellipsis when it is longer."""
    shown = visible(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _shown(char: str) -> str:
    if char in _SYMBOLS:
        return _SYMBOLS[char]
    category = unicodedata.category(char)
    if category in _HIDDEN or (category == "Zs" and char != " "):
        return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
    return char
