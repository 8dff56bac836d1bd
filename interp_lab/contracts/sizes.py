"""Counts and byte sizes as people write them: 70B, 1T, 1e9, 1B tokens, 64GB, 80GiB."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

_NUMBER: Final = r"([0-9][0-9_,]*(?:\.[0-9]+)?|\.[0-9]+)(?:e\+?([0-9]{1,2}))?"
"""Digits, and the power of ten behind an e."""
_COUNT: Final = re.compile(
    rf"\s*{_NUMBER}\s*(?:(k|m|b|t|thousand|million|billion|trillion)(?![a-z]))?\s*"
    r"(?:tokens?|params?|parameters?|latents?|prompts?)?\s*",
    re.IGNORECASE,
)
_BYTES: Final = re.compile(rf"\s*{_NUMBER}\s*(?:([kmgtp])(i?)b?|b|bytes)?\s*", re.IGNORECASE)
_THOUSANDS: Final = {"k": 1, "m": 2, "b": 3, "t": 4, "thousand": 1, "million": 2, "billion": 3, "trillion": 4}
_PREFIXES: Final = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_count(value: Any) -> Any:
    """Return the whole number that a text such as '70B' or '1.5M tokens' means; other values as they are.

    Raises:
        ValueError: The text is no such number.
    """
    if not isinstance(value, str):
        return value
    found = _COUNT.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:40]!r} is no count; write 70B, 1T, 250M or 1B tokens")
    return _whole(found, 1000 ** _THOUSANDS[found[3].lower()] if found[3] else 1)


def parse_bytes(value: Any) -> Any:
    """Return the bytes that a text such as '64GB' (10⁹) or '80GiB' (2³⁰) means; other values as they are.

    Raises:
        ValueError: The text is no such size.
    """
    if not isinstance(value, str):
        return value
    found = _BYTES.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:40]!r} is no size; write 64GB, 80GiB or 500MB")
    base = 1024 if found[4] else 1000
    return _whole(found, base ** _PREFIXES[found[3].lower()] if found[3] else 1)


def _whole(found: re.Match[str], factor: int) -> int:
    factor *= 10 ** int(found[2] or 0)
    whole, _, part = found[1].replace(",", "").replace("_", "").partition(".")
    return int(whole or "0") * factor + (int(part) * factor // 10 ** len(part) if part else 0)


Count = Annotated[int, BeforeValidator(parse_count, json_schema_input_type=int | str), Field(ge=1, le=10**18)]
"""A whole number, or text such as '70B' or '1B tokens'."""

ByteSize = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | str), Field(ge=1, le=10**18)]
"""Bytes, or text such as '64GB' or '80GiB'."""


def in_words(value: float) -> str:
    """Return a count as people write it, such as '70.6B'."""
    for letter, exponent in (("T", 12), ("B", 9), ("M", 6), ("k", 3)):
        if abs(value) >= 10**exponent:
            return f"{value / 10**exponent:.3g}{letter}" if abs(value) < 10 ** (exponent + 3) else f"{value:.3g}"
    return f"{value:.3g}"


def bytes_in_words(value: float) -> str:
    """Return bytes as people write them, such as '64 GiB'."""
    for letter, power in (("EiB", 6), ("PiB", 5), ("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if abs(value) >= 1024**power:
            return f"{value / 1024**power:.3g} {letter}"
    return f"{value:.0f} B"


def time_in_words(seconds: float) -> str:
    """Return a time as people say it, such as '3.2 h'."""
    for word, length in (("years", 31_557_600), ("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.3g} {word}"
    return f"{seconds:.2g} s"
