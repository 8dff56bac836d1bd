"""What every question hands back before it becomes a page: headers, a way to make any row, a sentence, a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import Header, QueryRequest, QueryResult, Table
from interp_lab.reports.figures import Figure
from interp_lab.workflows.paging import Row, next_page, table_page
from interp_lab.workflows.querying.rows import RowSet

TOOL = "query_activations"
ANSWER_ROOM = 14_000
"""Characters of JSON that the rows of one page may take, so that no answer is over the lab's limit."""
_LOOKS = ("plot",)
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The whole answer to a question; rows are made only for the page that is shown."""

    rows: RowSet
    headers: Sequence[tuple[str, str]]
    """Name and meaning of each column."""
    total: int
    """Rows of the table on all pages."""
    make: Callable[[int, int], Sequence[Row]]
    """(start, stop) → these rows of the table."""
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON that holds for the answer as a whole."""
    warnings: Sequence[str] = ()
    actions: Callable[[Sequence[Row]], Sequence[NextAction]] = lambda _: ()
    """(rows of the page) → calls that make sense now."""
    figure: Callable[[int, int], Figure] | None = None
    """(start, stop) → a figure of these rows of the table."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and what was used to make it."""

    result: QueryResult
    start: int
    stop: int


def page_of(answer: Answer, request: QueryRequest) -> Page:
    """Return the page that the request's cursor and limit ask for, shortened if its text is too long.

    Raises:
        InvalidCursor: the cursor is of another request.
    """
    page = table_page(request, total=answer.total, make=answer.make, room=ANSWER_ROOM, looks=_LOOKS)
    sampled = "" if answer.rows.n == answer.rows.of_rows else _sample_note(answer.rows, request.seed)
    result = QueryResult(
        summary=answer.summary + sampled,
        warnings=tuple(answer.warnings),
        agent_next_actions=tuple([*answer.actions(page.rows), *next_page(TOOL, request, page.cursor, _LOOKS)][:3]),
        kind=request.query.kind,
        store=request.store,
        n=answer.rows.count(),
        table=Table(headers=tuple(Header(name=name, about=about) for name, about in answer.headers), rows=page.rows),
        total=answer.total,
        facts=dict(answer.facts),
        next_cursor=page.cursor,
    )
    return Page(result, page.start, page.stop)


def number(value: float) -> JsonValue:
    """Return a number with six significant digits, or a word where it is not finite: JSON has no such number."""
    if math.isfinite(value):
        rounded = float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def action(request: QueryRequest, why: str, query: Mapping[str, Any]) -> NextAction:
    """Return a call that puts another question to the same store and rows."""
    kept = request.model_dump(mode="json", include={"store", "where", "sample_rows", "seed"}, exclude_defaults=True)
    return NextAction(tool=TOOL, arguments={**kept, "store": request.store, "query": dict(query)}, why=why)


def _sample_note(rows: RowSet, seed: int) -> str:
    return f"\nComputed on {rows.n} of {rows.of_rows} rows, drawn at random with seed {seed}."
