"""What every search hands back before it becomes a page: headers, rows best first, a sentence, calls to make next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.features import SearchFeaturesRequest, SearchFeaturesResult
from interp_lab.contracts.query import Header, Table
from interp_lab.workflows.paging import Row, next_page, table_page

TOOL: Final = "search_features"
BEST: Final = 100
"""Latents that a ranking keeps; how many were looked at is said beside it."""
_ROOM = 12_000
_CAVEAT = "A ranking of what goes together, chosen after looking; it shows no cause."


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
    page = table_page(request, total=hits.total, make=hits.make, room=_ROOM)
    actions = [*hits.actions(page.rows[0])] if page.rows else []
    return SearchFeaturesResult(
        summary=f"{hits.found}. {_CAVEAT}",
        warnings=tuple(hits.warnings),
        agent_next_actions=tuple([*actions, *next_page(TOOL, request, page.cursor)][:3]),
        kind=request.by.kind,
        table=Table(headers=tuple(Header(name=name, about=about) for name, about in hits.headers), rows=page.rows),
        total=hits.total,
        searched=hits.searched,
        facts=dict(hits.facts),
        next_cursor=page.cursor,
    )
