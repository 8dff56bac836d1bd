"""Reading JSON from outside: size first, then strictly: no NaN, no infinity, no repeated keys, no surrogates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from pydantic import JsonValue

from interp_lab.errors import FileTooLarge, MalformedFile

MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_LINE_BYTES = 8 * 2**20
MAX_LINES = 1_000_000
MAX_DEPTH = 100


def parse_json(data: bytes, *, where: str = "The file") -> JsonValue:
    """Return the value of one JSON document.

    Raises:
        MalformedFile: Not strict JSON: not UTF-8, a bare NaN, a number too large, a repeated key, a lone surrogate,
            or nested over 100 deep.
    """
    try:
        text = data.decode("utf-8-sig")
        value: JsonValue = json.loads(
            text, object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
        )
    except UnicodeDecodeError as error:
        raise MalformedFile(f"{where} is not UTF-8 text: byte {error.start} is wrong.") from error
    except json.JSONDecodeError as error:
        raise MalformedFile(
            f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedFile(f"{where} is nested too deeply.") from error
    except _Refused as error:
        raise MalformedFile(f"{where} {error}.") from error
    _check_value(value, where)
    return value


def read_json(file: BinaryIO, *, where: str = "The file", max_bytes: int = MAX_DOCUMENT_BYTES) -> JsonValue:
    """Return the value of a JSON file; see `parse_json`.

    Raises:
        FileTooLarge: It has more than `max_bytes`.
        MalformedFile: see `parse_json`.
    """
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FileTooLarge(f"{where} has more than {max_bytes} bytes.")
    return parse_json(data, where=where)


def read_json_lines(
    file: BinaryIO, *, where: str = "The file", max_line_bytes: int = MAX_LINE_BYTES, max_lines: int = MAX_LINES
) -> Iterator[JsonValue]:
    """Yield the value of every line that is not blank; see `parse_json`.

    Raises:
        FileTooLarge: A line or the number of lines is over its limit.
        MalformedFile: see `parse_json`; the message names the line.
    """
    number = 0
    while line := file.readline(max_line_bytes + 1):
        number += 1
        if number > max_lines:
            raise FileTooLarge(f"{where} has more than {max_lines} lines.")
        if len(line) > max_line_bytes:
            raise FileTooLarge(f"Line {number} of {where} has more than {max_line_bytes} bytes.")
        if line.strip():
            yield parse_json(line, where=f"{where}, line {number},")


class _Refused(ValueError):
    """Valid for the parser, not for us."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Refused(f"repeats the key {twice[:80]!a}")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused(f"holds the number {text[:40]}, which is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 400:
        raise _Refused(f"holds a whole number of {len(text)} digits")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise _Refused(f"holds {text}, which is not JSON")


def _check_value(root: JsonValue, where: str) -> None:
    pending: list[tuple[JsonValue, int]] = [(root, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise MalformedFile(f"{where} is nested over {MAX_DEPTH} deep.")
        if isinstance(value, str):
            _check_text(value, where)
        elif isinstance(value, list):
            pending.extend((item, depth + 1) for item in value)
        elif isinstance(value, dict):
            for key, item in value.items():
                _check_text(key, where)
                pending.append((item, depth + 1))


def _check_text(text: str, where: str) -> None:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise MalformedFile(f"{where} holds half of a surrogate pair, which is not text.")
