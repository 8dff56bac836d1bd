"""What trace_paths and validate_paths plan and refuse before any model is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interp_lab import errors
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.path_report import PathCard, PathEnd, PathReport
from interp_lab.contracts.trace_paths import TracePathsRequest
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from interp_lab_tools.path_calls import next_for, next_of
from interp_lab_tools.trace_paths import TRACE_PATHS, suggest
from interp_lab_tools.validate_paths import VALIDATE_PATHS

TRACE, VALIDATE = dict(TRACE_PATHS.example), dict(VALIDATE_PATHS.example)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def plan(lab: Lab, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    view = dispatch(lab, tool, arguments)
    assert isinstance(view, JobView)
    assert view.state == "planned"
    assert view.plan is not None
    assert len(view.model_dump_json()) < 4000
    return dict(view.plan)


def test_a_trace_says_passes_seconds_and_memory_first(lab: Lab) -> None:
    found = plan(lab, "trace_paths", TRACE)
    assert found["n_passes"] > 0
    assert found["seconds"] > 0
    assert found["peak_bytes"] > 2**20
    assert found["n_targets"] == 2
    more = plan(lab, "trace_paths", {**TRACE, "hold": ["attention"], "n_controls": 12})
    assert more["n_passes"] > 2 * found["n_passes"]


def card(status: str, target: str = "resid_post.3#7") -> PathCard:
    ends = [
        PathEnd.model_validate({"key": key, "address": key.partition("#")[0], "unit": unit})
        for key, unit in (("resid_post.1#5", TRACE["sources"][0]), (target, TRACE["targets"][0]))  # type: ignore[index]
    ]
    return PathCard.model_validate(
        {"source": ends[0], "target": ends[1], "explore": None, "confirm": None, "doses": [], "off_positives": None}
        | {"off_bound": None, "status": status, "grade": "weak", "reasons": [], "next_action": None}
    )


OUTPUT_END = PathEnd(key="output", address="logits", unit=None)


def test_a_path_that_is_like_its_controls_leads_to_more_controls_on_the_same_path() -> None:
    action = next_for(TracePathsRequest.model_validate({**TRACE, "n_controls": 2}), card("like_controls"))
    assert action is not None
    again = TracePathsRequest.model_validate(action.arguments)
    assert again.dry_run
    assert again.n_controls > 2
    assert [str(unit.address) for unit in (*again.sources, *again.targets)] == ["resid_post.1", "resid_post.3"]
    assert next_for(again, card("like_controls")) is None


def test_the_behaviour_is_not_offered_where_it_was_measured() -> None:
    measured = TracePathsRequest.model_validate(TRACE)
    assert next_for(measured, card("passes_along")) is None
    blind = next_for(TracePathsRequest.model_validate({**TRACE, "behaviour": False}), card("passes_along"))
    assert blind is not None
    assert TracePathsRequest.model_validate(blind.arguments).behaviour


@pytest.mark.parametrize("status", ["like_controls", "validated", "suggestive"])
def test_a_call_that_follows_keeps_how_the_path_was_measured(status: str) -> None:
    asked = {**TRACE, "scales": [-2.0], "pool": "last", "rest": "mean", "least_share": 0.05, "dry_run": False}
    action = next_for(TracePathsRequest.model_validate(asked), card(status))
    assert action is not None
    kind = TracePathsRequest if action.tool == "trace_paths" else ValidatePathsRequest
    then = kind.model_validate(action.arguments)
    assert (then.pool, then.rest, then.least_share) == ("last", "mean", 0.05)
    assert then.scales[0] == -2.0, "the first strength is the one that is graded"
    assert (len(then.scales) > 1) == (status == "suggestive")


def other(status: str) -> PathCard:
    """A path from another source to the same target."""
    path = card(status)
    unit = TRACE["sources"][1]  # type: ignore[index]
    return path.model_copy(
        update={"source": PathEnd.model_validate({**path.source.model_dump(), "key": "resid_post.1#9", "unit": unit})}
    )


@pytest.mark.parametrize("status", ["like_controls", "validated", "suggestive"])
def test_paths_that_lack_the_same_lead_to_one_call_for_all_of_them(lab: Lab, status: str) -> None:
    asked = TracePathsRequest.model_validate({**TRACE, "n_controls": 2})
    paths = [card(status), other(status), card(status, "output").model_copy(update={"target": OUTPUT_END})]
    (action,) = next_of(asked, [*paths, card("candidate")])
    then = dict(action.arguments)
    if action.tool == "trace_paths":
        assert [unit["index"] for unit in then["sources"]] == [5, 9]  # type: ignore[index, union-attr]
        assert len(then["targets"]) == 1  # type: ignore[arg-type]
    else:
        assert plan(lab, "validate_paths", {**then, "dry_run": True})["paths"] == [
            "source1=target", "source2=target", "source1=output"
        ]  # fmt: skip


def test_paths_that_lack_different_things_lead_to_a_call_each() -> None:
    actions = next_of(
        TracePathsRequest.model_validate({**TRACE, "n_controls": 2}), [card("like_controls"), other("validated")]
    )
    assert [action.tool for action in actions] == ["trace_paths", "validate_paths"]


def test_the_rerun_of_candidates_says_how_they_were_traced() -> None:
    asked = TracePathsRequest.model_validate({**TRACE, "scales": [-1.0], "pool": "last"})
    (action,) = suggest(asked, PathReport.model_construct(paths=(card("candidate"),)), "a" * 64)
    then = ValidatePathsRequest.model_validate(action.arguments)
    assert (then.scales, then.pool, then.ranks, then.trace) == ((-1.0,), "last", (1,), "a" * 64)


def test_a_validation_names_its_paths(lab: Lab) -> None:
    found = plan(lab, "validate_paths", VALIDATE)
    assert found["paths"] == ["resid_post.1#5=resid_post.3#7", "resid_post.1#5=output"]
    assert found["n_backward"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"sources": []},
        {"sources": [{"address": "z.1", "head": 0}]},
        {"scales": [0.0]},
        {"scales": [1.0, 1.0]},
        {"targets": [], "behaviour": False},
        {"source_dictionary": "0" * 64},
    ],
)
def test_a_trace_without_two_ends_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TracePathsRequest.model_validate({**TRACE, **change})


@pytest.mark.parametrize("change", [{"pairs": []}, {"records": "x.jsonl"}, {"pairs": ["resid_post.1#5"]}])
def test_a_validation_takes_its_claims_from_one_place(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ValidatePathsRequest.model_validate({**VALIDATE, **change})


def test_a_pair_that_names_no_unit_is_refused(lab: Lab) -> None:
    with pytest.raises(errors.MalformedPath, match="names no unit"):
        dispatch(lab, "validate_paths", {**VALIDATE, "pairs": ["resid_post.1=output"]})


def test_an_artifact_that_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(errors.UnknownArtifact):
        dispatch(lab, "validate_paths", {**{k: v for k, v in VALIDATE.items() if k != "pairs"}, "trace": "0" * 64})


def test_foreign_records_name_their_units_by_layer_and_number(lab: Lab, tmp_path: Path) -> None:
    record = (
        '{"prompt_id": "a", "source_feature_id": "L1:D3", "target_feature_id": "L3:D4", "source_layer": 1, '
        '"target_layer": 3, "strength": -4.0, "target_activation_delta": -0.5}\n'
    )
    (tmp_path / "r.jsonl").write_text(record, encoding="utf-8")
    arguments = {**{k: v for k, v in VALIDATE.items() if k != "pairs"}, "records": "r.jsonl"}
    assert plan(lab, "validate_paths", arguments)["paths"] == ["L1:D3=L3:D4"]
    latent = record.replace("L1:D3", "SAE:L1:F3")
    (tmp_path / "r.jsonl").write_text(latent, encoding="utf-8")
    with pytest.raises(errors.MalformedPath, match="dictionary"):
        dispatch(lab, "validate_paths", arguments)
