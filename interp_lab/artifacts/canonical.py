"""Canonical JSON: one value, one byte string, so that a hash names a value."""

from __future__ import annotations

import hashlib
import json

from interp_lab.errors import InvalidRequest


def canonical_json(value: object) -> bytes:
    """Return the canonical UTF-8 JSON of a JSON value: keys sorted, no spaces, no NaN.

    Raises:
        InvalidRequest: The value holds NaN, an infinity, a lone surrogate or something that is not JSON.
    """
    return _encode(value, separators=(",", ":"), indent=None, sort_keys=True)


def readable_json(value: object) -> bytes:
    """Return UTF-8 JSON for people, keys in their given order; see `canonical_json` for errors."""
    return _encode(value, separators=(",", ": "), indent=1, sort_keys=False) + b"\n"


def _encode(value: object, *, separators: tuple[str, str], indent: int | None, sort_keys: bool) -> bytes:
    try:
        return json.dumps(
            value, sort_keys=sort_keys, separators=separators, indent=indent, ensure_ascii=False, allow_nan=False
        ).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The value cannot be written as JSON: {error}.") from error


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of data, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
