"""The rows for which conditions hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import QueryRequest, SearchQuery
from interp_lab.errors import InvalidRequest
from interp_lab.statistics.arrays import Ints
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.texts import clipped, window
from interp_lab.workflows.querying.view import StoreView

_HEADERS = (
    ("row", "number of the row in the store"),
    ("prompt", "index of its prompt or episode"),
    ("id", "id of its prompt"),
    ("position", "place in the prompt"),
    ("before", "text before the token"),
    ("token", "the token"),
    ("after", "text after it"),
)


def search(view: StoreView, query: SearchQuery, request: QueryRequest) -> Answer:
    """Return the rows, in reading order or by the value of the first shown unit.

    Raises:
        InvalidRequest: they are to be ordered by a value and no unit is shown.
    """
    if query.order != "row" and not query.show:
        raise InvalidRequest("order 'value' needs a unit in show to order by.")
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed, may_be_empty=True)
    units = [view.unit(name) for name in query.show]
    index = _ordered(rows, query)

    def make(start: int, stop: int) -> Sequence[Row]:
        shown = index[start:stop]
        values = [view.values_of(unit, shown) for unit in units]
        return [_row(view, int(row), query.window, [float(v[i]) for v in values]) for i, row in enumerate(shown)]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        if not (page and query.show):
            return ()
        why = "See these units over the whole prompt of the first row."
        return (action(request, why, {"kind": "timeline", "prompt": page[0][1], "show": list(query.show)}),)

    count = rows.count()
    found = f"{rows.of_rows} of {view.n_rows} rows fulfil the conditions, in {count.prompts} prompts"
    return Answer(
        rows=rows,
        headers=(*_HEADERS, *((str(unit), "activation") for unit in units)),
        total=rows.n,
        make=make,
        summary=f"{found} ({count.groups} independent groups). A list of examples, not a rate or an effect.",
        actions=actions,
    )


def _ordered(rows: RowSet, query: SearchQuery) -> Ints:
    if query.order == "row":
        return rows.index
    values = rows.view.values_of(rows.view.unit(query.show[0]), rows.index)
    keys = np.abs(values) if query.order == "magnitude" else values
    return rows.index[np.argsort(-keys, kind="stable")]


def _row(view: StoreView, row: int, width: int, values: Sequence[float]) -> Row:
    text = window(view, row, width)
    prompt = int(view.row_prompt[row])
    name = clipped(view.prompts.column("id")[prompt].as_py(), 60)
    place = row, prompt, name, int(view.position[row])
    return *place, text.before, text.token, text.after, *(number(value) for value in values)
