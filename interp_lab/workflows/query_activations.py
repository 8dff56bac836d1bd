"""query_activations: one question to an activation store, answered at once, a page at a time. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interp_lab.contracts.base import Contract
from interp_lab.contracts.query import (
    AssociateQuery,
    ContextsQuery,
    DifferenceQuery,
    LevelsQuery,
    OverviewQuery,
    ProfileQuery,
    QueryRequest,
    QueryResult,
    SearchQuery,
    TimelineQuery,
    UnitsQuery,
)
from interp_lab.errors import NoFigure
from interp_lab.reports.figures import Figure
from interp_lab.settings import Settings
from interp_lab.workflows.querying.answer import Answer, page_of
from interp_lab.workflows.querying.associate import associations
from interp_lab.workflows.querying.contexts import contexts
from interp_lab.workflows.querying.difference import difference
from interp_lab.workflows.querying.levels import levels
from interp_lab.workflows.querying.memory import Answers
from interp_lab.workflows.querying.overview import overview
from interp_lab.workflows.querying.profile import profile
from interp_lab.workflows.querying.search import search
from interp_lab.workflows.querying.timeline import timeline
from interp_lab.workflows.querying.units import units
from interp_lab.workflows.querying.view import StoreView, open_view

Publish = Callable[[QueryResult, Figure], QueryResult]
"""(result, figure) → the result with the figure published as an artifact."""

_ANSWERS = Answers()

_ANSWERED_BY: dict[type[Contract], Callable[[StoreView, Any, QueryRequest], Answer]] = {
    SearchQuery: search,
    ContextsQuery: contexts,
    UnitsQuery: units,
    AssociateQuery: associations,
    TimelineQuery: timeline,
    LevelsQuery: levels,
    ProfileQuery: profile,
}


def query_activations(request: QueryRequest, *, settings: Settings, publish: Publish) -> QueryResult:
    """Return one page of the answer, with a figure of it if one was asked for.

    Raises:
        LabError: whatever is wrong with the store, the question or its conditions.
    """

    def open_other(name: str) -> StoreView:
        return open_view(name, settings)

    answer = _ANSWERS.answer(request, open_other, answer_to)
    if request.plot != "none" and answer.figure is None:
        raise NoFigure(f"There is no figure of an answer to {request.query.kind!r}.")
    page = page_of(answer, request)
    if request.plot == "none" or answer.figure is None:
        return page.result
    return publish(page.result, answer.figure(page.start, page.stop))


def answer_to(request: QueryRequest, open_named: Callable[[str], StoreView]) -> Answer:
    """Return the whole answer to the request's question."""
    view, query = open_named(request.store), request.query
    if isinstance(query, OverviewQuery):
        return overview(view, request)
    if isinstance(query, DifferenceQuery):
        return difference(view, query, request, open_other=open_named)
    return _ANSWERED_BY[type(query)](view, query, request)
