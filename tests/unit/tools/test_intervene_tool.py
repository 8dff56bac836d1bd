"""What intervene plans and refuses before any model is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interp_lab import errors
from interp_lab.contracts.evidence_plan import PlanEvidenceRequest
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.jobs import JobView
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.sources import _refuse_other_question, _refuse_other_split
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.inspect_again import inspect_again
from interp_lab_tools.intervene import INTERVENE, suggest
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import edit_card, intervene_report, unit_card

EXAMPLE = dict(INTERVENE.example)
UNIT = {"address": "resid_post.2", "index": 5}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def plan(lab: Lab, **options: Any) -> JobView:
    view = dispatch(lab, "intervene", {**EXAMPLE, **options})
    assert isinstance(view, JobView)
    return view


def test_without_being_told_it_only_plans_and_says_how_to_carry_it_out(lab: Lab) -> None:
    view = plan(lab)
    assert view.state == "planned"
    (action,) = view.agent_next_actions
    assert action.arguments["dry_run"] is False
    assert InterveneRequest.model_validate(action.arguments).dry_run is False
    assert view.plan is not None
    assert view.plan["seconds"] > 0  # type: ignore[operator]
    assert view.plan["peak_bytes"] > 2**28  # type: ignore[operator]
    assert {row["grade"] for row in view.plan["outcomes"]} >= {"validated", "contradicted"}  # type: ignore[index,union-attr]
    assert view.plan["power"] > 0  # type: ignore[operator]
    assert len(view.model_dump_json()) < 4000


def test_a_plan_has_an_id_that_its_call_carries(lab: Lab) -> None:
    view = plan(lab)
    assert view.plan is not None
    (action,) = view.agent_next_actions
    assert action.arguments["plan_id"] == view.plan["plan_id"]
    again = plan(lab, plan_id=view.plan["plan_id"]).plan
    assert again is not None
    assert again["plan_id"] == view.plan["plan_id"]


def test_another_request_is_not_run_under_the_id_of_a_plan(lab: Lab) -> None:
    first = plan(lab).plan
    assert first is not None
    with pytest.raises(errors.PlanChanged):
        plan(lab, plan_id=first["plan_id"], strengths=[3.0], dry_run=False)
    with pytest.raises(errors.PlanChanged):
        plan(lab, plan_id=first["plan_id"], seed=5)


def test_more_strengths_and_units_cost_more_passes(lab: Lab) -> None:
    passes = [
        plan(lab, **options).plan["n_passes"]  # type: ignore[index]
        for options in ({}, {"strengths": [1, 2, 4]}, {"units": [UNIT, {**UNIT, "index": 6}]})
    ]
    assert passes[0] < passes[1] < passes[2]  # type: ignore[operator]


@pytest.mark.parametrize(
    "units",
    [
        [],
        [{"address": "resid_post.1"}],
        [{"index": 3}],
        [{**UNIT, "head": 1}],
        [{"address": "z.0", "direction": [0.0]}],
    ],
)
def test_units_that_name_nothing_or_two_things_are_refused(units: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        InterveneRequest.model_validate({**EXAMPLE, "units": units})


def test_units_edited_only_together_cost_the_passes_of_one(lab: Lab) -> None:
    units = [{"address": "resid_post.2", "index": index} for index in range(4)]
    only, one = (plan(lab, units=u, together=t, alone=not t) for u, t in ((units, True), (units[:1], False)))
    assert only.plan is not None
    assert one.plan is not None
    assert only.plan["n_passes"] == one.plan["n_passes"]


def test_leaving_units_out_costs_the_runs_of_every_set_that_may_be_tried(lab: Lab) -> None:
    units = [{"address": "resid_post.2", "index": index} for index in range(4)]
    asked: dict[str, Any] = {"units": units, "together": True, "alone": False}
    whole, fewest = (plan(lab, **asked, smallest=smallest, edits=["ablate_zero"]).plan for smallest in (False, True))
    assert whole is not None
    assert fewest is not None
    explore_positives = (fewest["n_passes"] - whole["n_passes"]) / (1 + 4 + 3 + 2)
    assert explore_positives == int(explore_positives) > 0


@pytest.mark.parametrize("wrong", [{"alone": True}, {"edits": ["ablate_zero", "ablate_mean"]}, {"shards": 2}])
def test_leaving_units_out_takes_one_edit_of_all_units_in_one_process(wrong: dict[str, Any]) -> None:
    asked = {"together": True, "alone": False, "smallest": True, "edits": ["ablate_zero"]}
    assert InterveneRequest.model_validate({**EXAMPLE, **asked}).smallest
    with pytest.raises(ValidationError, match="smallest needs"):
        InterveneRequest.model_validate({**EXAMPLE, **asked, **wrong})


def test_nothing_to_edit_alone_or_together_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing is edited"):
        InterveneRequest.model_validate({**EXAMPLE, "alone": False})


def test_words_that_are_several_tokens_are_refused_before_any_work_and_single_ones_are_not(lab: Lab) -> None:
    with pytest.raises(errors.TargetTokensUnclear, match="'antidisestablishment' is not one token"):
        plan(lab, targets=["antidisestablishment"])
    assert plan(lab, targets=["."], alternatives=[","]).state == "planned"


def test_a_unit_read_before_the_edit_is_refused_before_any_work_and_one_read_after_it_is_not(lab: Lab) -> None:
    early, late = ({"address": f"resid_post.{layer}", "index": 3} for layer in (1, 3))
    with pytest.raises(errors.ImpossibleEdit, match=r"resid_post.1 #3 is not read after resid_post.2"):
        plan(lab, metric="downstream", downstream=early)
    assert plan(lab, metric="downstream", downstream=late).state == "planned"


def test_two_units_of_one_name_are_refused(lab: Lab) -> None:
    with pytest.raises(errors.InvalidRequest, match="Two units"):
        plan(lab, units=[UNIT, UNIT])


def test_a_head_cannot_be_steered(lab: Lab) -> None:
    with pytest.raises(errors.ImpossibleEdit):
        plan(lab, units=[{"address": "z.1", "head": 0}], edits=["steer"])


def test_patching_needs_pairs(lab: Lab) -> None:
    words = ("river", "stone", "window", "garden", "table", "mirror", "engine", "violin")
    prompts = [{"text": f"the {w} stands {k} apart from {w[::-1]}", "score": k % 2} for k, w in enumerate(words)]
    with pytest.raises(errors.ImpossibleEdit, match="pair"):
        plan(lab, dataset={"prompts": prompts}, edits=["patch"])


def test_a_report_that_does_not_exist_is_refused(lab: Lab) -> None:
    arguments = {name: value for name, value in EXAMPLE.items() if name != "units"}
    with pytest.raises(errors.UnknownArtifact):
        dispatch(lab, "intervene", {**arguments, "report": "0" * 64})


def report_like(**changes: Any) -> InspectReport:
    """As much of a report as decides whether its rows can be graded here."""
    facts = {"sha256": "a" * 64, "n_positive": 3, "name": "d"} | changes.pop("dataset", {})
    dataset = InspectReport.model_fields["dataset"].annotation.model_construct(**facts)  # type: ignore[union-attr]
    run = InspectReport.model_fields["run"].annotation.model_construct(seed=changes.pop("seed", 0))  # type: ignore[union-attr]
    model = InspectReport.model_fields["model"].annotation.model_construct(id="builtin:pocket-llama")  # type: ignore[union-attr]
    given = {"criterion": EXAMPLE["criterion"], "pooling": "max", "dataset": dataset, "run": run, "model": model}
    return InspectReport.model_construct(**{**given, **changes})


class _Prompts:
    sha256 = "a" * 64

    def positive(self, threshold: float) -> tuple[bool, ...]:
        return (True, True, True, False)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"dataset": {"n_positive": 2}}, {"dataset": {"sha256": "b" * 64}}])
def test_rows_that_chose_a_unit_never_grade_it(changes: dict[str, Any]) -> None:
    request = InterveneRequest.model_validate({**EXAMPLE, "units": [UNIT]})
    with pytest.raises(errors.DiscoveryRowsReused):
        _refuse_other_split(report_like(**changes), request, _Prompts())  # type: ignore[arg-type]
    _refuse_other_split(report_like(), request, _Prompts())  # type: ignore[arg-type]


def test_a_report_about_something_else_is_refused() -> None:
    request = InterveneRequest.model_validate({**EXAMPLE, "units": [UNIT]})
    with pytest.raises(errors.InvalidRequest, match="criterion"):
        _refuse_other_question(report_like(criterion="something else"), request)
    _refuse_other_question(report_like(), request)


def test_the_split_of_a_report_follows_from_what_both_requests_share() -> None:
    shared = {"model", "criterion", "dataset", "threshold", "seed", "pooling"}
    assert shared <= set(InspectRequest.model_fields) & set(InterveneRequest.model_fields)


def told(*units: dict[str, Any]) -> InterveneReport:
    return intervene_report(list(units))


def test_what_is_left_unvalidated_leads_to_the_cheapest_evidence_and_a_lonely_unit_to_a_screen_of_its_place() -> None:
    request = InterveneRequest.model_validate(EXAMPLE)
    unmoved = unit_card("resid_post.2 #5", "needs_causal_evidence", [edit_card(0.0, q=0.9)], ("effect_like_control",))
    screen, plan = suggest(request, told(unmoved))
    asked = InterveneRequest.model_validate(screen.arguments)
    assert asked.screen is not None
    assert str(asked.screen.address) == "resid_post.2"
    assert not asked.units
    assert plan.tool == "plan_evidence"
    PlanEvidenceRequest.model_validate(plan.arguments)
    plausible = unit_card("resid_post.2 #5", "plausible", [edit_card(1.0)], ("effect_confirmed",))
    assert [action.tool for action in suggest(request, told(plausible))] == ["plan_evidence"]
    validated = unit_card("resid_post.2 #5", "validated", [edit_card(1.0)], ("effect_confirmed",))
    assert "plan_evidence" not in [action.tool for action in suggest(request, told(validated))]


def test_an_inspection_with_the_edits_is_offered_where_what_was_edited_can_be_ranked(tmp_path: Path) -> None:
    artifact, settings = "a" * 64, Settings(workspace=tmp_path)
    units = [UNIT, {**UNIT, "index": 6}, {"address": "z.1", "head": 0}]
    (action,) = inspect_again(InterveneRequest.model_validate({**EXAMPLE, "units": units}), artifact, settings)
    request = InspectRequest.model_validate(action.arguments)
    assert [str(address) for address in request.addresses] == ["resid_post.2"]
    assert request.interventions == (artifact,)
    assert (request.model.id, request.criterion) == (EXAMPLE["model"], EXAMPLE["criterion"])
    only_head = InterveneRequest.model_validate({**EXAMPLE, "units": units[2:]})
    assert inspect_again(only_head, artifact, settings) == ()
    inline = [{"text": "a", "score": 1}, {"text": "b", "score": 0}]
    assert (
        inspect_again(InterveneRequest.model_validate({**EXAMPLE, "dataset": {"prompts": inline}}), artifact, settings)
        == ()
    )
