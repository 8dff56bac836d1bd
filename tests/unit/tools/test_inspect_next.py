"""The experiment after an inspection is asked by report and rank, so that what was tested is known to it."""

from __future__ import annotations

from typing import Any

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest, InspectResult, RankedCoordinate
from interp_lab.contracts.inspect_evidence import DirectionsEvidence
from interp_lab.contracts.inspect_handles import Handle, HandleComparison, Handles
from interp_lab.contracts.inspect_report import ConfoundAudit, DatasetFacts, InspectReport, LayerRow
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.steering_vector import MakeSteeringVectorRequest, ReportSource
from interp_lab_tools.inspect_next import by_report, suggest

REPORT = "a" * 64
ASKED: dict[str, Any] = {"model": "m", "criterion": "a planted thing", "dataset": "builtin:person-name", "seed": 3}
UNITS = NextAction(tool="intervene", arguments={"units": [{"address": "resid_post.1", "index": 5}]}, why="by units")
OTHER = NextAction(tool="inspect", arguments={}, why="writers")


def ranked(
    rank: int, grade: str, address: str = "resid_post.1", reasons: tuple[str, ...] = ("no_intervention",)
) -> RankedCoordinate:
    return RankedCoordinate.model_validate(
        {
            "rank": rank, "address": address, "index": 5, "sign": 1, "grade": grade, "explore_auroc": 0.9,
            "confirm_auroc": 0.9, "confirm_interval": (0.8, 1.0), "n_confirm_groups": 20, "q_value": 0.001,
            "reasons": reasons, "top_token": "x",
        }
    )  # fmt: skip


def answer(*rows: RankedCoordinate, flags: tuple[str, ...] = ()) -> InspectResult:
    return InspectResult(
        summary="s", criterion="c", model="m", n_prompts=40, n_tested=10, n_significant=2, dataset_flags=flags,
        ranking=rows, layers=(), agent_next_actions=(UNITS, OTHER),
    )  # fmt: skip


@pytest.mark.parametrize("address", ["resid_post.1", "resid_post.1/topk-64"])
def test_the_first_open_coordinate_is_edited_by_its_rank_latents_too(address: str) -> None:
    found = answer(ranked(1, "plausible"), ranked(2, "needs_causal_evidence", address))
    found = found.model_copy(
        update={"ranking": (ranked(1, "needs_causal_evidence", reasons=("effect_like_control",)), *found.ranking[1:])}
    )  # one that was edited already is not offered again
    first, second = by_report(InspectRequest.model_validate(ASKED), found, REPORT)
    request = InterveneRequest.model_validate(first.arguments)
    assert (request.report, request.ranks, request.units) == (REPORT, (2,), ())
    assert (request.seed, request.criterion) == (3, "a planted thing")
    assert f"{address} #5" in first.why
    assert second == OTHER


@pytest.mark.parametrize(
    ("asked", "flags", "grade"),
    [
        ({}, (), "validated"),
        ({}, ("n_tokens",), "needs_causal_evidence"),
        ({"label": "topic"}, (), "needs_causal_evidence"),
        ({"dataset": None, "evidence": "records:x.jsonl"}, (), "needs_causal_evidence"),
    ],
)
def test_where_nothing_is_open_or_nothing_can_be_edited_the_answer_stays(
    asked: dict[str, Any], flags: tuple[str, ...], grade: str
) -> None:
    found = answer(ranked(1, grade), flags=flags)
    assert by_report(InspectRequest.model_validate(ASKED | asked), found, REPORT) == (UNITS, OTHER)


@pytest.mark.parametrize("grade", ["weak", "plausible"])
def test_where_nothing_held_up_the_plan_of_what_each_claim_lacks_is_offered(grade: str) -> None:
    *before, plan = by_report(InspectRequest.model_validate(ASKED), answer(ranked(1, grade)), REPORT)
    assert before == [UNITS, OTHER]
    assert (plan.tool, plan.arguments) == ("plan_evidence", {"report": REPORT})


def reported(best: str, other: str | None, address: str) -> InspectReport:
    comparison = HandleComparison.model_construct(best=best, other=other)
    ways = (Handle.model_construct(kind=other, address=address),)
    return InspectReport.model_construct(
        criterion=ASKED["criterion"],
        audit=ConfoundAudit(flagged=False, confounds=()),
        n_significant=1,
        coordinates=(),
        dataset=DatasetFacts.model_construct(n_prompts=40),
        layers=(LayerRow.model_construct(address="mlp_act.1", best_auroc=0.9),),
        handles=Handles.model_construct(ways=ways, comparison=comparison),
    )


@pytest.mark.parametrize("address", ["resid_post.2", "resid_post.2/topk-64"])
def test_a_direction_that_beats_every_coordinate_is_offered_as_a_row_to_be_tested(address: str) -> None:
    request = InspectRequest.model_validate(ASKED | {"pooling": "last"})
    (action,) = suggest(request, reported("other", "linear_discriminant", address))
    asked = InspectRequest.model_validate(action.arguments)
    assert asked.evidence == DirectionsEvidence(methods=("linear_discriminant",))
    assert (list(map(str, asked.addresses)), asked.pooling, asked.seed) == (["resid_post.2"], "last", 3)


@pytest.mark.parametrize(
    ("best", "other", "address"),
    [("coordinate", "probe", "resid_post.2"), ("undecided", "probe", "resid_post.2"), ("other", "small_set", "a, b")],
)
def test_no_direction_is_offered_where_none_is_better(best: str, other: str, address: str) -> None:
    assert suggest(InspectRequest.model_validate(ASKED), reported(best, other, address)) == ()


def test_a_direction_in_the_stream_is_also_offered_as_a_vector() -> None:
    place = "resid_post.1/probe-0a1b2c3d"
    found = answer(ranked(1, "needs_causal_evidence", "attn_out.1/probe-0a1b2c3d"), ranked(2, "plausible", place))
    request = InspectRequest.model_validate(ASKED | {"evidence": "directions"})
    edit, vector, _ = by_report(request, found, REPORT)
    assert edit.arguments["ranks"] == [1]
    made = MakeSteeringVectorRequest.model_validate(vector.arguments)
    assert made.source == ReportSource(kind="report", report=REPORT, rank=2)
