"""JSON Lines with the number of every line, so that a refusal can name it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from interp_lab.artifacts.reading import parse_json
from interp_lab.errors import FileTooLarge, MalformedFile

MAX_LINE_BYTES = 64 * 2**20


def numbered_objects(file: BinaryIO, *, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and object of every line that is not blank, from the start of the file.

    Raises:
        MalformedFile: A line is not strict JSON or not an object; the message names it.
        FileTooLarge: A line has more than 64 MB.
    """
    for number, line in numbered_lines(file, where=where):
        yield number, line_object(line, number, where=where)


def numbered_lines(file: BinaryIO, *, where: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of every line that is not blank, from the start of the file.

    Raises:
        FileTooLarge: A line has more than 64 MB.
    """
    file.seek(0)
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise FileTooLarge(f"Line {number} of {where} has more than {MAX_LINE_BYTES} bytes.")
        if not line.isspace():
            yield number, line


def line_object(line: bytes, number: int, *, where: str) -> dict[str, Any]:
    """Return the object that a line holds.

    Raises:
        MalformedFile: It is not strict JSON or not an object; the message names the line.
    """
    value = parse_json(line, where=f"{where}, line {number},")
    if not isinstance(value, dict):
        raise MalformedFile(f"{where}, line {number}, is not an object.")
    return cast(dict[str, Any], value)
