"""query_activations as it is called: pages, bounds, cursors, figures, and next actions that work as they stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.query import QueryRequest, QueryResult
from interp_lab.contracts.store import CodeColumn, StoreHeader
from interp_lab.errors import (
    InvalidCursor,
    InvalidRequest,
    LabError,
    NoFigure,
    NotAStore,
    PathOutsideWorkspace,
    QueryTooLarge,
    ReadOnlyLab,
    UnknownColumn,
    UnknownField,
    UnknownPrompt,
    UnknownUnit,
)
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.locate import publish_store
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.querying import columns
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.mending import mending
from interp_lab_tools.views import as_json
from tests.truth.query_stores import CODES, DENSE, make_store

EVERY: list[dict[str, Any]] = [
    {"kind": "overview"},
    {"kind": "search", "show": [f"{DENSE}#0", f"{CODES}#1"]},
    {"kind": "contexts", "column": CODES, "unit": 1},
    {"kind": "contexts", "column": DENSE, "unit": 1, "choose": "bottom"},
    {"kind": "units", "column": CODES},
    {"kind": "associate", "column": DENSE},
    {"kind": "difference", "column": CODES, "a": {"where": [{"field": "label:happy", "one_of": [True]}]}, "b": {}},
    {"kind": "timeline", "prompt": 3, "show": [f"{DENSE}#0"], "metrics": ["metric:loss"]},
    {"kind": "levels", "column": DENSE, "by": "token"},
    {"kind": "profile", "bins": 4},
]
WITH_FIGURE = [query for query in EVERY if query["kind"] in {"contexts", "associate", "timeline", "levels", "profile"}]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    workspace = tmp_path_factory.mktemp("workspace")
    make_store(workspace / "store")
    with Lab.open(Settings(workspace=workspace, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as opened:
        yield opened


def ask(lab: Lab, query: Any, **more: Any) -> QueryResult:
    answer = call(lab, "query_activations", {"store": "store", "query": query, **more})
    assert isinstance(answer, QueryResult)
    return answer


@pytest.mark.parametrize("query", EVERY, ids=lambda query: query["kind"])
def test_every_answer_is_bounded_says_its_n_and_its_caveat_and_leads_on(lab: Lab, query: dict[str, Any]) -> None:
    result = ask(lab, query)
    assert len(json.dumps(as_json(result))) < 8000
    assert result.n.rows > 0
    assert result.n.groups > 0
    assert result.summary.splitlines()[0].endswith(".")
    assert all(len(row) == len(result.table.headers) for row in result.table.rows)
    for action in result.agent_next_actions:
        call(lab, action.tool, action.arguments)


@given(st.sampled_from(EVERY), st.integers(9, 60))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_pages_of_any_size_join_to_the_whole(lab: Lab, query: dict[str, Any], limit: int) -> None:
    whole = ask(lab, query, limit=100)
    wanted, cursor = list(whole.table.rows), None
    pages: list[Any] = []
    while len(pages) < len(wanted):
        page = ask(lab, query, limit=limit, cursor=cursor)
        assert 0 < len(page.table.rows) <= limit
        pages += page.table.rows
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages[: len(wanted)] == wanted


def test_a_cursor_of_another_request_is_refused(lab: Lab) -> None:
    cursor = ask(lab, EVERY[4], limit=2).next_cursor
    assert cursor
    with pytest.raises(InvalidCursor):
        ask(lab, EVERY[5], cursor=cursor)
    with pytest.raises(InvalidCursor):
        ask(lab, EVERY[4], cursor=cursor, where=[{"field": "position", "at_least": 1}])
    with pytest.raises(InvalidCursor):
        ask(lab, EVERY[4], cursor="7")


@pytest.mark.parametrize("plot", ["html", "png"])
@pytest.mark.parametrize("query", WITH_FIGURE, ids=lambda query: query["kind"])
def test_a_figure_is_an_artifact_that_can_be_read(lab: Lab, query: dict[str, Any], plot: str) -> None:
    result = ask(lab, query, plot=plot)
    (figure,) = result.artifacts
    assert (figure.kind, figure.job_id, figure.files[0].name) == ("figure", None, f"figure.{plot}")
    listed = call(lab, "artifact_list", {"kind": "figure"})
    assert figure.id in {each.id for each in listed.artifacts}
    if plot == "html":
        text = call(lab, "artifact_read", {"artifact_id": figure.id, "name": "figure.html"})
        assert result.summary.split(";")[0][:40] in text.text or "figure" in text.text


def test_a_store_can_be_named_by_its_artifact_id(lab: Lab) -> None:
    origin = Origin(job=None, attempt=0, started=datetime(2026, 1, 1, tzinfo=UTC))
    with lab.engine.inline.artifact("activation_store", "a store", origin) as writer:
        publish_store(lab.settings.workspace / "store", writer)
    by_id = call(lab, "query_activations", {"store": writer.id, "query": EVERY[2]})
    assert by_id.table == ask(lab, EVERY[2]).table
    figure = ask(lab, WITH_FIGURE[0], plot="html").artifacts[0]
    with pytest.raises(NotAStore, match="figure"):
        call(lab, "query_activations", {"store": figure.id, "query": "overview"})


def test_a_question_without_a_figure_says_which_have_one(lab: Lab) -> None:
    with pytest.raises(NoFigure, match="profile"):
        ask(lab, EVERY[4], plot="html")


def test_a_read_only_lab_answers_and_draws_nothing(lab: Lab) -> None:
    with Lab.open(lab.settings, read_only=True) as readonly:
        assert ask(readonly, "overview").total == 2
        with pytest.raises(ReadOnlyLab):
            ask(readonly, WITH_FIGURE[0], plot="html")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"store": "nowhere", "query": "overview"}, LabError),
        ({"store": "../elsewhere", "query": "overview"}, PathOutsideWorkspace),
        ({"store": ".", "query": "overview"}, NotAStore),
        ({"store": "store", "query": {"kind": "units", "column": "resid_post.9"}}, UnknownColumn),
        ({"store": "store", "query": {"kind": "contexts", "column": DENSE, "unit": 99}}, UnknownUnit),
        ({"store": "store", "query": {"kind": "timeline", "prompt": "nobody", "show": [f"{DENSE}#0"]}}, UnknownPrompt),
        ({"store": "store", "query": {"kind": "timeline", "prompt": 999, "show": [f"{DENSE}#0"]}}, UnknownPrompt),
        ({"store": "store", "query": {"kind": "associate", "column": DENSE, "targets": ["label:none"]}}, UnknownField),
        ({"store": "store", "query": "overview", "where": [{"field": "colour", "one_of": ["red"]}]}, UnknownField),
        ({"store": "store", "query": "overview", "where": [{"field": "token"}]}, InvalidRequest),
        ({"store": "store", "query": {"kind": "search", "order": "value"}}, InvalidRequest),
        ({"store": "store", "query": {"kind": "search", "show": ["resid_post.1"]}}, InvalidRequest),
        ({"store": "store", "query": "guess"}, InvalidRequest),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(lab: Lab, arguments: dict[str, Any], error: Any) -> None:
    with pytest.raises(error) as caught:
        call(lab, "query_activations", arguments)
    assert caught.value.remedy


def test_a_column_that_the_store_lacks_leads_to_the_one_most_like_it(lab: Lab) -> None:
    asked = {"store": "store", "query": {"kind": "units", "column": DENSE[:-1] + "9"}}
    (near,) = mending("unknown_column", "query_activations", asked, lab)
    assert near.arguments == {"store": "store", "query": {"kind": "units", "column": DENSE}}
    far = {"store": "store", "query": {"kind": "units", "column": "logits"}}
    (overview,) = mending("unknown_column", "query_activations", far, lab)
    assert overview.arguments == {"store": "store", "query": "overview"}


def test_work_that_takes_too_long_is_refused_with_a_sample_that_does_not(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MAX_WORK", 4000)
    with pytest.raises(QueryTooLarge, match=r"sample_rows to \d+"):
        ask(lab, {"kind": "associate", "column": DENSE}, seed=11)  # asked nowhere else: answers are remembered


def test_hostile_text_is_clipped_and_the_answer_stays_within_its_bound(tmp_path: Path) -> None:
    key, n = "resid_post.0/d", 400
    header = StoreHeader(columns=(CodeColumn(address=Address.parse("resid_post.0"), dictionary="d", width=2),))
    with StoreWriter(tmp_path / "store", header) as writer:
        rows = {
            "prompt": np.arange(n),
            "position": np.zeros(n, dtype=np.int32),
            "token": ["\U0001f4a5\u202e\x00" * 500] * n,
        }
        writer.add(RowBlock(rows=rows, columns={key: np.ones((n, 2), dtype=np.float32)}))
        names = ["é" * 500 for _ in range(n)]
        writer.finish({"id": names, "text": ["t" * 10_000] * n, "group": np.arange(n)})
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as lab:
        page = ask(lab, {"kind": "contexts", "column": key, "unit": 0}, limit=100)
        assert len(json.dumps(as_json(page))) <= ANSWER_CHARS
        assert 0 < len(page.table.rows) < 100
        assert page.next_cursor
        after = ask(lab, {"kind": "contexts", "column": key, "unit": 0}, limit=100, cursor=page.next_cursor)
        assert after.table.rows[0] != page.table.rows[-1]


def test_a_slice_may_be_its_conditions_alone() -> None:
    conditions = [{"field": "label:mood", "one_of": ["happy"]}]
    given = {"kind": "difference", "column": "resid_post.1", "a": conditions, "b": {"where": conditions}}
    query: Any = QueryRequest.model_validate({"store": "s", "query": given}).query
    assert query.a == query.b


def test_metrics_among_the_units_of_a_timeline_are_metrics() -> None:
    given = {"kind": "timeline", "prompt": 0, "show": ["resid_post.1#3", "metric:loss"], "metrics": ["label:mood"]}
    query: Any = QueryRequest.model_validate({"store": "s", "query": given}).query
    assert query.show == ("resid_post.1#3",)
    assert query.metrics == ("label:mood", "metric:loss")
    with pytest.raises(ValidationError):
        QueryRequest.model_validate({"store": "s", "query": {**given, "show": ["metric:loss"]}})
