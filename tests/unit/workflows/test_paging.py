"""Pages of a table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from interp_lab.contracts.query import QueryRequest
from interp_lab.errors import InvalidCursor
from interp_lab.workflows.paging import Row, TablePage, next_page, table_page

N = 25


def ask(**fields: object) -> QueryRequest:
    return QueryRequest.model_validate({"store": "stores/a", "query": {"kind": "overview"}, "limit": 10, **fields})


def rows(start: int, stop: int) -> Sequence[Row]:
    return [(number, "x" * 20) for number in range(start, stop)]


def page(request: QueryRequest, room: int = 10_000) -> TablePage:
    return table_page(request, total=N, make=rows, room=room, looks=("plot",))


@pytest.mark.parametrize("room", [1, 100, 10_000])
def test_following_the_cursor_gives_every_row_once_whatever_fits_on_a_page(room: int) -> None:
    found: list[Row] = []
    cursor = None
    while True:
        at = page(ask(cursor=cursor), room)
        assert at.rows
        assert (at.start, at.stop) == (len(found), len(found) + len(at.rows))
        found += at.rows
        cursor = at.cursor
        if cursor is None:
            break
    assert found == rows(0, N)


def test_a_cursor_goes_on_with_another_limit_or_look_and_with_no_other_question() -> None:
    cursor = page(ask()).cursor
    assert page(ask(cursor=cursor, limit=3)).rows == tuple(rows(10, 13))
    assert page(ask(cursor=cursor, plot="html")).start == 10
    with pytest.raises(InvalidCursor):
        page(ask(cursor=cursor, store="stores/b"))


def test_the_call_offered_after_a_page_reads_the_next_one_and_none_is_offered_after_the_last() -> None:
    request = ask()
    (call,) = next_page("query_activations", request, page(request).cursor, ("plot",))
    assert page(QueryRequest.model_validate(call.arguments)).start == 10
    assert next_page("query_activations", request, None) == ()
