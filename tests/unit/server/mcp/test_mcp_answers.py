from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobFailure, JobView
from interp_lab.contracts.results import Result
from interp_lab.errors import FieldProblem, InvalidRequest, UnknownJob
from interp_lab_server.answers import answer_result, error_result, internal_error_result, shortened, view_result
from interp_lab_server.sanitize import compact
from interp_lab_tools.limits import ANSWER_CHARS

LIMIT = 2000
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=30), inner, max_size=30),
    max_leaves=40,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=20), JSON, min_size=1, max_size=8))
def test_an_answer_that_is_cut_says_so_and_one_that_fits_is_untouched(answer: dict) -> None:
    short = shortened(answer, LIMIT)
    if len(compact(answer)) <= LIMIT:
        assert short == answer
    else:
        assert "Shortened" in short["warnings"][-1]


@given(st.lists(st.text("ab", max_size=300), min_size=40, max_size=60), st.integers(4000, 9000))
def test_long_lists_and_long_texts_are_cut_until_they_fit(rows: list[str], length: int) -> None:
    text = "c" * length
    short = shortened({"summary": "s", "rows": rows, "deep": {"text": text, "few": [1]}}, LIMIT)
    assert len(compact(short)) <= LIMIT
    assert short["summary"] == "s"
    assert short["deep"]["few"] == [1]
    assert text.startswith(short["deep"]["text"])
    assert rows[: len(short["rows"])] == [row[: len(cut)] for row, cut in zip(rows, short["rows"], strict=False)]


def test_a_call_is_handed_out_whole_or_not_at_all() -> None:
    prompts = [{"text": f"the men went down to town {n}", "score": n % 2} for n in range(1000)]
    long = {"tool": "compare", "arguments": {"dataset": {"kind": "inline", "prompts": prompts}}, "why": "w"}
    small = {"tool": "inspect", "arguments": {"ranks": list(range(500))}, "why": "w"}
    rows = [{"name": f"row {n}", "call": long if n == 0 else small} for n in range(3)]
    short = shortened({"summary": "s", "agent_next_actions": [long, small], "rows": rows})
    assert len(compact(short)) <= ANSWER_CHARS
    assert short["agent_next_actions"] == [small]
    assert [row["call"] for row in short["rows"]] == [None, small, small]
    assert "/agent_next_actions (of 2)" in short["warnings"][-1]
    many = shortened({"agent_next_actions": [small] * 20})
    assert {compact(action) for action in many["agent_next_actions"]} == {compact(small)}


def test_the_note_says_how_much_is_missing_and_where_the_rest_is() -> None:
    note = shortened({"rows": list(range(5000)), "artifacts": [{"id": "x"}]}, LIMIT)["warnings"][-1]
    assert "/rows (of 5000)" in note
    assert "artifact_read" in note


def test_even_a_summary_gives_way_when_nothing_else_is_left() -> None:
    assert len(compact(shortened({"summary": "x" * 50_000}, LIMIT))) <= LIMIT


def test_text_and_structure_are_the_same_whole_answer() -> None:
    result = answer_result(Result(summary="Two things.", warnings=("careful",)))
    assert json.loads(result.content[0].text) == result.structured_content
    assert result.structured_content["warnings"] == ["careful"]
    assert not result.is_error


def test_a_refusal_says_what_was_wrong_and_what_would_work_in_both_forms() -> None:
    error = InvalidRequest("Two fields are wrong.", fields=(FieldProblem("a.b", "is \x1b[1mmissing"),))
    result = error_result(error)
    body = json.loads(result.content[0].text)
    assert body == result.structured_content
    assert result.is_error
    assert body["code"] == "invalid_request"
    assert body["remedy"]
    assert body["fields"] == [{"field": "a.b", "problem": "is \\u001b[1mmissing"}]


def test_a_refusal_carries_the_calls_that_it_is_given_and_no_others() -> None:
    call = NextAction(tool="lab_overview", arguments={}, why="See what there is.", cost="None.", changes="Nothing.")
    (action,) = error_result(UnknownJob(), [call]).structured_content["agent_next_actions"]
    assert action == call.model_dump(mode="json")
    assert error_result(UnknownJob()).structured_content["agent_next_actions"] == []


def test_a_fault_of_this_software_shows_its_id_and_nothing_else() -> None:
    body = internal_error_result("abc").structured_content
    assert body["code"] == "internal_error"
    assert body["error_id"] == "abc"


def test_a_call_whose_job_failed_is_an_error_and_one_whose_job_goes_on_is_not() -> None:
    failure = JobFailure(code="out_of_memory", what="Too big.", remedy="Take less.")
    failed = JobView(summary="s", capability="inspect", state="failed", error=failure)
    running = JobView(summary="s", capability="inspect", state="running")
    assert view_result(failed).is_error
    assert not view_result(running).is_error
