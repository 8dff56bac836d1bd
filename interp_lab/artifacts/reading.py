"""Reading JSON from outside: size first, then strictly: no NaN, no infinity, no repeated keys, no surrogates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NoReturn

from pydantic import JsonValue

from interp_lab.errors import FileTooLarge, MalformedFile

MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_LINE_BYTES = 8 * 2**20
MAX_LINES = 1_000_000
MAX_DEPTH = 100
MAX_DIGITS = 400
_MOST = 10**MAX_DIGITS
_CONTAINERS = frozenset((list, dict))


def parse_json(data: bytes, *, where: str = "The file") -> JsonValue:
    """Return the value of one JSON document.

    Raises:
        MalformedFile: Not strict JSON: not UTF-8, a bare NaN, a number too large, a repeated key, a lone surrogate,
            or nested over 100 deep.
    """
    try:
        text = data.decode("utf-8-sig")
        value: JsonValue = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        _check_value(value, escapes="\\u" in text)
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
    except ValueError as error:
        raise MalformedFile(f"{where} holds a whole number of more digits than are read.") from error
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


def _constant(text: str) -> NoReturn:
    raise _Refused(f"holds {text}, which is not JSON")


def _check_value(root: JsonValue, *, escapes: bool) -> None:
    """Refuse what the parser lets through; numbers are looked at together, as one by one takes longer than parsing."""
    level: list[list[Any] | dict[str, Any]] = [[root]]
    for _ in range(MAX_DEPTH + 1):
        inner: list[list[Any] | dict[str, Any]] = []
        for container in level:
            if escapes and isinstance(container, dict):
                _check_texts(container)
            items = list(container.values()) if isinstance(container, dict) else container
            kinds = set(map(type, items))
            _check_numbers(items, kinds)
            if escapes and str in kinds:
                _check_texts(item for item in items if isinstance(item, str))
            if not kinds.isdisjoint(_CONTAINERS):
                inner += [item for item in items if type(item) in _CONTAINERS]
        level = inner
        if not level:
            return
    raise _Refused(f"is nested over {MAX_DEPTH} deep")


def _check_numbers(items: Sequence[Any], kinds: set[type]) -> None:
    if float in kinds:
        numbers = items if len(kinds) == 1 else [item for item in items if type(item) is float]
        if not all(map(math.isfinite, numbers)):
            raise _Refused("holds a number that is too large")
    if int in kinds and any(type(item) is int and not -_MOST < item < _MOST for item in items):
        raise _Refused(f"holds a whole number of over {MAX_DIGITS} digits")


def _check_texts(texts: Iterable[str]) -> None:
    for text in texts:
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise _Refused("holds half of a surrogate pair, which is not text")
