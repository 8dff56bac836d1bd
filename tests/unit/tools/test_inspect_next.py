"""The experiment after an inspection is asked by report and rank, so that what was tested is known to it."""

from __future__ import annotations

from typing import Any

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect import InspectRequest, InspectResult, RankedCoordinate
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab_tools.inspect_next import by_report

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
        ({}, (), "plausible"),
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
