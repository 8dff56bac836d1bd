"""What every search hands back before it becomes a page: headers, rows best first, a sentence, calls to make next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import SearchFeaturesRequest, SearchFeaturesResult
from interp_lab.contracts.query import Header, Table
from interp_lab.errors import InvalidCursor

TOOL: Final = "search_features"
BEST: Final = 100
"""Latents that a ranking keeps; how many were looked at is said beside it."""
_ROOM = 12_000
_CAVEAT = "A ranking of what goes together, chosen after looking; it shows no cause."

Row = tuple[JsonValue, ...]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Everything that a search found."""

    headers: Sequence[tuple[str, str]]
    total: int
    """Rows on all pages."""
    make: Callable[[int, int], Sequence[Row]]
    """(start, stop) → these rows."""
    searched: int
    """Latents looked at."""
    found: str
    """What was found, in a sentence without its full stop."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    warnings: Sequence[str] = ()
    actions: Callable[[Row], Sequence[NextAction]] = lambda _: ()
    """(first row of the page) → calls that make sense now."""


def page_of(hits: Hits, request: SearchFeaturesRequest) -> SearchFeaturesResult:
    """Return the page that the request's cursor and limit ask for, shortened if its text is too long.

    Raises:
        InvalidCursor: The cursor is of another request.
    """
    start = _offset(request)
    rows = _fitting(hits.make(start, min(hits.total, start + request.limit)))
    stop = start + len(rows)
    cursor = f"{stop}.{_digest(request)}" if stop < hits.total else None
    actions = [*hits.actions(rows[0])] if rows else []
    return SearchFeaturesResult(
        summary=f"{hits.found}. {_CAVEAT}",
        warnings=tuple(hits.warnings),
        agent_next_actions=tuple([*actions, *_next_page(request, cursor)][:3]),
        kind=request.by.kind,
        table=Table(headers=tuple(Header(name=name, about=about) for name, about in hits.headers), rows=tuple(rows)),
        total=hits.total,
        searched=hits.searched,
        facts=dict(hits.facts),
        next_cursor=cursor,
    )


def _next_page(request: SearchFeaturesRequest, cursor: str | None) -> Sequence[NextAction]:
    if cursor is None:
        return ()
    arguments = request.model_dump(mode="json", exclude_defaults=True, exclude={"cursor"})
    return (NextAction(tool=TOOL, arguments={**arguments, "cursor": cursor}, why="Read the next page."),)


def _fitting(rows: Sequence[Row]) -> list[Row]:
    """Return the rows from the first on that fit into an answer, at least one."""
    kept: list[Row] = []
    room = _ROOM
    for row in rows:
        room -= len(json.dumps(row, separators=(",", ":"))) + 1
        if room < 0 and kept:
            break
        kept.append(row)
    return kept


def _offset(request: SearchFeaturesRequest) -> int:
    if request.cursor is None:
        return 0
    offset, _, digest = request.cursor.partition(".")
    if not (offset.isdecimal() and offset.isascii() and len(offset) < 12) or digest != _digest(request):
        raise InvalidCursor("The cursor was given out for another request.")
    return int(offset)


def _digest(request: SearchFeaturesRequest) -> str:
    """Return what stays the same over the pages of one request, and only there."""
    body = request.model_dump_json(exclude={"cursor", "limit"})
    return hashlib.sha256(body.encode()).hexdigest()[:16]
