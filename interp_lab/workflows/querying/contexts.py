"""Where one unit is strongest, or a sample from each quantile of its values, with the text around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.query import ContextsQuery, QueryRequest
from interp_lab.reports.figures import TokenHeat, TokenRow
from interp_lab.statistics.arrays import Ints, Matrix
from interp_lab.workflows.paging import Row
from interp_lab.workflows.querying.answer import Answer, action, number
from interp_lab.workflows.querying.rows import RowSet, choose_rows
from interp_lab.workflows.querying.texts import clipped, token_texts, window
from interp_lab.workflows.querying.view import StoreView, UnitRef

_HEADERS = (
    ("value", "activation at the token"),
    ("quantile", "which range of the values: 1 is the strongest"),
    ("row", "number of the row in the store"),
    ("prompt", "index of its prompt"),
    ("id", "id of its prompt"),
    ("position", "place in the prompt"),
    ("before", "text before the token"),
    ("token", "the token"),
    ("after", "text after it"),
)


class Ranked(NamedTuple):
    """Rows by value."""

    rows: Ints
    values: Matrix


class Chosen(NamedTuple):
    """Rows in the order in which they are shown."""

    rows: Ints
    values: Matrix
    quantiles: Ints


def contexts(view: StoreView, query: ContextsQuery, request: QueryRequest) -> Answer:
    """Return the contexts of a unit, strongest first."""
    unit = UnitRef(query.column, view.checked_unit(query.column, query.unit))
    rows = choose_rows(view, request.where, sample=request.sample_rows, seed=request.seed)
    ranked = ranked_rows(rows, unit)
    n_active = int(np.count_nonzero(ranked.values))
    chosen = _chosen(view, query, ranked, request)

    def make(start: int, stop: int) -> Sequence[Row]:
        return [_row(view, chosen, place, query.window) for place in range(start, stop)]

    def actions(page: Sequence[Row]) -> Sequence[NextAction]:
        asked = action(
            request,
            "See which metrics and labels this unit goes with.",
            {"kind": "associate", "column": unit.column, "units": [unit.index]},
        )
        if not page:
            return (asked,)
        timeline = {"kind": "timeline", "prompt": page[0][3], "show": [str(unit)]}
        return asked, action(request, "See the unit over the whole first prompt.", timeline)

    return Answer(
        rows=rows,
        headers=_HEADERS,
        total=int(chosen.rows.size),
        make=make,
        summary=_summary(unit, query, rows, n_active=n_active),
        facts={"active_rows": n_active, "largest": number(float(ranked.values[0])) if ranked.values.size else 0},
        actions=actions,
        figure=lambda start, stop: _figure(view, unit, chosen.rows[start:stop], query.window),
    )


def ranked_rows(rows: RowSet, unit: UnitRef) -> Ranked:
    """Return rows by value, strongest first, then in order: every row of a dense unit, the active ones of a latent."""
    view = rows.view
    if view.column(unit.column).kind == "codes":
        found = view.store.codes(unit.column).latent(unit.index)
        if rows.is_all:
            return Ranked(found.rows, found.values)
        kept = rows.mask[found.rows]
        return Ranked(found.rows[kept], found.values[kept])
    values = view.values_of(unit, rows.index)
    order = np.argsort(-values, kind="stable")
    return Ranked(rows.index[order], values[order])


def _chosen(view: StoreView, query: ContextsQuery, ranked: Ranked, request: QueryRequest) -> Chosen:
    rows, values = ranked
    if query.choose == "quantiles":
        return _from_quantiles(view, query, ranked, request)
    if query.choose == "bottom":
        rows, values = rows[::-1], values[::-1]
    if query.one_per_prompt:
        first = _first_of_prompts(view, rows)
        rows, values = rows[first], values[first]
    return Chosen(rows, values, np.ones(rows.size, dtype=np.intp))


def _from_quantiles(view: StoreView, query: ContextsQuery, ranked: Ranked, request: QueryRequest) -> Chosen:
    """Draw from each of equally filled ranges of the values that are not 0."""
    rows, values = (ranked.rows[ranked.values != 0], ranked.values[ranked.values != 0])
    rng = np.random.default_rng(request.seed)
    each = max(1, request.limit // query.n_quantiles)
    picked: list[Ints] = []
    for members in np.array_split(np.arange(rows.size), query.n_quantiles):
        drawn = rng.permutation(members)
        if query.one_per_prompt:
            drawn = drawn[_first_of_prompts(view, rows[drawn])]
        picked.append(np.sort(drawn[:each]))
    at = np.concatenate(picked)
    quantiles = np.repeat(np.arange(1, query.n_quantiles + 1), [part.size for part in picked])
    return Chosen(rows[at], values[at], quantiles)


def _first_of_prompts(view: StoreView, rows: Ints) -> Ints:
    """Return the places of the first row of every prompt, ascending."""
    first = np.full(view.prompt_group.size, rows.size, dtype=np.intp)
    np.minimum.at(first, view.row_prompt[rows], np.arange(rows.size, dtype=np.intp))
    return np.sort(first[first < rows.size])


def _row(view: StoreView, chosen: Chosen, place: int, width: int) -> Row:
    row = int(chosen.rows[place])
    prompt = int(view.row_prompt[row])
    text = window(view, row, width)
    name = clipped(view.prompts.column("id")[prompt].as_py(), 60)
    where = row, prompt, name, int(view.position[row])
    return (
        number(float(chosen.values[place])),
        int(chosen.quantiles[place]),
        *where,
        text.before,
        text.token,
        text.after,
    )


def _summary(unit: UnitRef, query: ContextsQuery, rows: RowSet, *, n_active: int) -> str:
    count = rows.count()
    share = 100 * n_active / rows.n
    how = {
        "top": "its strongest tokens",
        "bottom": "its weakest tokens",
        "quantiles": f"tokens from {query.n_quantiles} quantiles of its values",
    }[query.choose]
    over = f"{rows.n} rows ({count.groups} independent groups)"
    return (
        f"{unit} is not 0 on {n_active} of {over}, {share:.3g} %; shown are {how}. "
        "Examples suggest a meaning, they do not test it."
    )


def _figure(view: StoreView, unit: UnitRef, rows: Ints, width: int) -> TokenHeat:
    windows = [window(view, int(row), width) for row in rows]
    index = np.concatenate([np.arange(each.start, each.stop) for each in windows] or [np.zeros(0, dtype=np.intp)])
    values = np.split(view.values_of(unit, index), np.cumsum([each.stop - each.start for each in windows])[:-1])
    return TokenHeat(
        title=f"{unit} on {len(windows)} contexts",
        note="Colour is the activation at a token; the marked token chose the context. Examples do not test a meaning.",
        rows=tuple(
            TokenRow(
                label=f"prompt {view.row_prompt[row]}, position {view.position[row]}",
                tokens=tuple(token_texts(view, each.start, each.stop)),
                values=tuple(float(value) for value in some),
                peak=int(row) - each.start,
            )
            for row, each, some in zip(rows, windows, values, strict=True)
        ),
    )
