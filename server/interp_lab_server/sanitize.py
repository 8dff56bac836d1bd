"""What leaves the server is plain JSON and printable text, whatever a model, a dataset or a library put into it.

A lone surrogate kills a stdio connection, an escape sequence repaints a terminal, an invisible character hides
instructions from a reader. Each is replaced by its JSON escape, which shows what was there and harms nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import JsonValue

_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u2028\u2029"  # line ends that are none in JSON
    "\u202a-\u202e\u2066-\u2069"  # overrides of the reading direction
    "\ud800-\udfff"  # lone surrogates
    "\ufeff"  # byte order mark
    "\U000e0000-\U000e007f"  # tags: invisible copies of ASCII
    "]"
)
_DEEPEST = 64


def clean_text(text: str) -> str:
    """Return the text with every harmful character as its JSON escape; tab and newline stay."""
    return _HARMFUL.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int) -> str:
    """Return the text as one printable line of at most `limit` characters."""
    line = " ".join(clean_text(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean(value: object, depth: int = 0) -> JsonValue:
    """Return the value as JSON: scalars of numpy and torch unwrapped, non-finite numbers as words, text cleaned."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return _number(value)
    if depth >= _DEEPEST:
        return "nested too deeply to be shown"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {clean_text(str(key)): clean(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in cast("list[object]", value)]
    return _foreign(value, depth)


def compact(value: JsonValue) -> str:
    """Return the JSON text of a cleaned value, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _number(value: float) -> JsonValue:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _foreign(value: object, depth: int) -> JsonValue:
    """Return an array or scalar of another library as JSON, and anything else as its cleaned text."""
    unwrap: Any = getattr(value, "tolist", None) or getattr(value, "item", None)
    return clean(unwrap(), depth + 1) if callable(unwrap) else clean_text(str(value))


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1] if match.group() != "\x7f" else "\\u007f"
