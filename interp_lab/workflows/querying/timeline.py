"""Units and metrics over one prompt or one episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from interp_lab.contracts.query import QueryRequest, TimelineQuery
from interp_lab.errors import EmptySlice
from interp_lab.reports.figures import TokenLine
from interp_lab.statistics.arrays import Ints
from interp_lab.store.arrow import arrow
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, number
from interp_lab.workflows.querying.conditions import rows_where
from interp_lab.workflows.querying.rows import RowSet
from interp_lab.workflows.querying.texts import TOKEN_CHARS, clipped, token_texts
from interp_lab.workflows.querying.view import StoreView

_FIGURE_ROWS = 2000
_HEADERS = (("row", "number of the row in the store"), ("position", "place in the prompt"), ("token", "the token"))


def timeline(view: StoreView, query: TimelineQuery, request: QueryRequest) -> Answer:
    """Return one row per token or step of the prompt.

    Raises:
        UnknownPrompt: there is none of that index or id.
        EmptySlice: no row of it fulfils the conditions.
    """
    prompt = view.prompt_index(query.prompt)
    index = view.rows_of_prompt(prompt)
    if request.where:
        index = index[rows_where(view, request.where)[index]]
    index = index[:: query.stride]
    if not index.size:
        raise EmptySlice(f"Prompt {prompt} has no row that fulfils the conditions.")
    units = [view.unit(name) for name in query.show]
    for name in query.metrics:
        view.where_is(name)
    rows = RowSet(view, index, int(index.size))

    def make(start: int, stop: int) -> Sequence[Row]:
        return _rows(view, query, index[start:stop])

    name = clipped(view.prompts.column("id")[prompt].as_py(), 60)
    every = f", every {query.stride}th" if query.stride > 1 else ""
    return Answer(
        rows=rows,
        headers=(*_HEADERS, *((str(unit), "activation") for unit in units), *((n, n) for n in query.metrics)),
        total=rows.n,
        make=make,
        summary=f"{', '.join(query.show)} over prompt {prompt} ({name}): {rows.n} rows{every}. One prompt is no rule.",
        figure=lambda _start, _stop: _figure(view, query, index[:_FIGURE_ROWS], name),
    )


def _rows(view: StoreView, query: TimelineQuery, index: Ints) -> list[Row]:
    columns = [[number(float(v)) for v in view.values_of(view.unit(name), index)] for name in query.show]
    columns += [[_cell(value) for value in _field(view, name, index)] for name in query.metrics]
    tokens = [clipped(_token(view, row), TOKEN_CHARS) for row in index]
    return [
        (int(row), int(view.position[row]), token, *values)
        for row, token, values in zip(index, tokens, zip(*columns, strict=True), strict=True)
    ]


def _field(view: StoreView, name: str, index: Ints) -> list[Any]:
    in_rows = view.where_is(name) == "row"
    values = view.field(name) if in_rows else view.prompts.column(name)
    return values.take(arrow().array(index if in_rows else view.row_prompt[index])).to_pylist()


def _cell(value: Any) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    return number(float(value)) if isinstance(value, int | float) else clipped(str(value), TOKEN_CHARS)


def _token(view: StoreView, row: int) -> str:
    return token_texts(view, int(row), int(row) + 1)[0]


def _figure(view: StoreView, query: TimelineQuery, index: Ints, name: str) -> TokenLine:
    series: list[tuple[str, tuple[float | None, ...]]] = [
        (unit, tuple(float(v) for v in view.values_of(view.unit(unit), index))) for unit in query.show
    ]
    for field in query.metrics:
        values = _field(view, field, index)
        if all(value is None or isinstance(value, int | float) for value in values):
            series.append((field, tuple(None if v is None or not np.isfinite(v) else float(v) for v in values)))
    return TokenLine(
        title=f"{', '.join(query.show)} over {name}",
        note="One prompt or episode shows no rule.",
        tokens=tuple(_token(view, row) for row in index),
        positions=tuple(int(position) for position in view.position[index]),
        series=tuple(series),
    )
