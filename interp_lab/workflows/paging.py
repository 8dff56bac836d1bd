"""Pages of a long table: a cursor that only its own request can use, and rows that fit into one answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import SearchFeaturesRequest
from interp_lab.contracts.query import QueryRequest
from interp_lab.errors import InvalidCursor

Row = tuple[JsonValue, ...]
Paged = QueryRequest | SearchFeaturesRequest


@dataclass(frozen=True, slots=True)
class TablePage:
    """Some rows of a table, and where they are in it."""

    rows: tuple[Row, ...]
    start: int
    stop: int
    cursor: str | None
    """Of the next page; absent on the last."""


def table_page(
    request: Paged,
    *,
    total: int,
    make: Callable[[int, int], Sequence[Row]],
    room: int,
    looks: Collection[str] = (),
) -> TablePage:
    """Return the page that the `cursor` and `limit` of a request ask for, shortened to `room` characters of JSON.

    `make` gives rows from start to stop; `looks` are fields of the request that only change how a page looks.

    Raises:
        InvalidCursor: The cursor is of another request.
    """
    digest = _digest(request, looks)
    start = _start(request.cursor, digest)
    rows = _fitting(make(start, min(total, start + request.limit)), room)
    stop = start + len(rows)
    return TablePage(rows, start, stop, f"{stop}.{digest}" if stop < total else None)


def next_page(tool: str, request: Paged, cursor: str | None, looks: Collection[str] = ()) -> Sequence[NextAction]:
    """Return the call that reads on, or none after the last page."""
    if cursor is None:
        return ()
    arguments = request.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", *looks})
    return (NextAction(tool=tool, arguments={**arguments, "cursor": cursor}, why="Read the next page."),)


def _fitting(rows: Sequence[Row], room: int) -> tuple[Row, ...]:
    """Return the rows from the first on that fit, at least one."""
    kept: list[Row] = []
    for row in rows:
        room -= len(json.dumps(row, separators=(",", ":"))) + 1
        if room < 0 and kept:
            break
        kept.append(row)
    return tuple(kept)


def _start(cursor: str | None, digest: str) -> int:
    if cursor is None:
        return 0
    start, _, of = cursor.partition(".")
    if not (start.isdecimal() and start.isascii() and len(start) < 12) or of != digest:
        raise InvalidCursor("The cursor was given out for another request.")
    return int(start)


def _digest(request: Paged, looks: Collection[str]) -> str:
    """Return what stays the same over the pages of one request, and only there."""
    body = request.model_dump_json(exclude={"cursor", "limit", *looks})
    return hashlib.sha256(body.encode()).hexdigest()[:16]
