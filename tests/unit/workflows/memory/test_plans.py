"""plan_evidence: the first thing in the way, a call that works, how many prompts, at what cost, best value first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interp_lab import errors
from interp_lab.contracts.evidence_plan import Experiment, PlanEvidenceResult
from interp_lab.evidence.planning import gain, remedy_for, smoothed, value_for_cost
from interp_lab.evidence.reasons import NEXT_STEPS, Reason
from interp_lab.settings import Settings
from interp_lab.statistics.power import detectable_auroc, detectable_mean
from interp_lab.statistics.sample_size import groups_for_auroc, groups_for_mean, spread_from_detectable
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    MODEL,
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    unit_card,
    workspace,
)
from tests.unit.workflows.memory.test_hypotheses import of_the_box

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
FOUND = ("association_confirmed", "no_intervention")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def ask(settings: Settings, **options: Any) -> PlanEvidenceResult:
    with Lab.open(settings, ALL) as lab:
        asked = options if "report" in options else {"model": MODEL, "criterion": CRITERION, **options}
        answer = call(lab, "plan_evidence", asked)
        assert isinstance(answer, PlanEvidenceResult)
        for experiment in answer.experiments:
            if experiment.call is not None:
                call(lab, experiment.call.tool, _dry(experiment))
    return answer


def _dry(experiment: Experiment) -> dict[str, Any]:
    """Return the call, planned only where it would start a job: every check is made, nothing is run."""
    assert experiment.call is not None
    known = BY_NAME[experiment.call.tool].request.model_fields
    return experiment.call.arguments | ({"dry_run": True} if "dry_run" in known else {})


def inspected(settings: Settings, *cards: Any, **options: Any) -> str:
    return publish(settings, of_the_box(settings, inspect_report(list(cards))), **options)


def edited(settings: Settings, grade: str, *reasons: str, effect: float = 0.1, **options: Any) -> str:
    card_of = edit_card(effect, q=0.6 if "effect_like_control" in reasons else 0.001)
    report = intervene_report([unit_card("resid_post.2 #5", grade, [card_of], reasons)])
    return publish(settings, of_the_box(settings, report), **options)


def test_a_confirmed_correlation_is_to_be_edited_next(settings: Settings) -> None:
    report = inspected(settings, card(1, 5, "needs_causal_evidence", FOUND))
    answer = ask(settings)
    (found,) = answer.experiments
    assert (found.kind, found.would_give, found.missing) == ("edit", "validated", "no_intervention")
    assert found.call is not None
    assert found.call.arguments["report"] == report
    assert found.call.arguments["dry_run"] is False
    with Lab.open(settings, ALL) as lab:
        planned = call(lab, "intervene", found.call.arguments | {"dry_run": True})
    assert planned.plan["plan_id"] == found.call.arguments["plan_id"]
    assert planned.plan["n_passes"] == found.passes
    assert found.passes > 100
    assert found.new_prompts == 0
    assert found.chance == 0.5
    assert found.seconds == planned.plan["seconds"]
    assert "expectation" in answer.summary
    first = answer.agent_next_actions[0]
    assert (first.tool, first.arguments) == (found.call.tool, found.call.arguments)
    assert len(answer.model_dump_json(exclude_none=True)) < 4000


def test_of_equal_value_comes_first_what_keeps_furthest_from_nothing_whatever_its_name(settings: Settings) -> None:
    cards = [
        card(n, 20 - n, "needs_causal_evidence", FOUND, confirm=auroc) for n, auroc in ((1, 0.7), (2, 0.15), (3, 0.8))
    ]
    inspected(settings, *cards)
    found = ask(settings).experiments
    assert len({each.value for each in found}) == 1
    assert [each.unit for each in found] == ["resid_post.2 #18", "resid_post.2 #17", "resid_post.2 #19"]
    half = 0.1  # of every interval in these reports
    assert [each.stays_away * half for each in found] == pytest.approx([0.25, 0.2, 0.1])  # type: ignore[operator]


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_an_effect_and_a_correlation_keep_from_nothing_on_one_scale(settings: Settings, unit: float) -> None:
    inspected(settings, card(1, 7, "needs_causal_evidence", FOUND, confirm=0.8))
    edit = edit_card(0.6 * unit, half=0.2 * unit)  # the same finding, in logits and in hundredths of one
    publish(
        settings, intervene_report([unit_card("resid_post.2 #9", "validated", [edit], ("effect_confirmed",))]), at=2
    )
    away = [each.stays_away for each in ask(settings).experiments]
    assert away == pytest.approx([2.0, 2.0])


def test_a_call_that_was_not_planned_here_is_a_dry_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp_lab_tools.plan_evidence._PLANNED", 1)
    inspected(settings, *(card(n, n, "needs_causal_evidence", FOUND) for n in (1, 2)))
    first, second = ask(settings).experiments
    assert first.call is not None
    assert second.call is not None
    assert ("plan_id" in first.call.arguments, first.call.arguments["dry_run"]) == (True, False)
    assert ("plan_id" in second.call.arguments, second.call.arguments["dry_run"]) == (False, True)


def test_an_edit_is_not_proposed_before_the_correlation_is_confirmed(settings: Settings) -> None:
    inspected(settings, card(1, 5, "plausible", ("confirm_uncertain", "no_intervention"), confirm=0.6))
    (found,) = ask(settings).experiments
    assert (found.kind, found.would_give) == ("more_prompts", "needs_causal_evidence")
    assert found.n_groups is not None
    assert detectable_auroc(found.n_groups // 2, found.n_groups // 2) <= 0.6
    assert found.new_prompts >= 2 * found.n_groups
    assert found.call is not None
    assert found.call.tool == "build_prompts"


def test_a_smaller_effect_needs_more_prompts(settings: Settings, tmp_path: Path) -> None:
    needs: list[int] = []
    for n, confirm in enumerate((0.8, 0.6)):
        folder = tmp_path / str(n)
        folder.mkdir()
        inspected(workspace(folder), card(1, 5, "plausible", ("confirm_uncertain",), confirm=confirm))
        needs.append(ask(workspace(folder)).experiments[0].n_groups or 0)
    assert 0 < needs[0] < needs[1]
    assert ask_is_empty(settings)


def ask_is_empty(settings: Settings) -> bool:
    with pytest.raises(errors.NoDossier):
        ask(settings)
    return True


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (("association_confirmed", "metric_cannot_move"), "other_measure"),
        (("association_confirmed", "effect_sign_unstable"), "doses"),
        (("association_confirmed", "side_effects"), "weaker"),
        (("explained_by_confounds", "effect_confirmed"), "balanced_prompts"),
        (("association_confirmed", "effect_not_on_confirm"), "more_prompts"),
    ],
)
def test_every_gap_of_an_intervention_has_its_experiment(
    settings: Settings, reasons: tuple[str, ...], kind: str
) -> None:
    edited(settings, "needs_causal_evidence" if "association_confirmed" in reasons else "plausible", *reasons)
    (found,) = ask(settings).experiments
    assert found.kind == kind


def test_a_null_effect_with_power_is_settled_and_one_without_is_not(settings: Settings) -> None:
    reasons = ("association_confirmed", "effect_like_control")
    report = of_the_box(settings, intervene_report([unit_card("resid_post.2 #5", "needs_causal_evidence",
                        [edit_card(0.05, q=0.6)], reasons)]))  # fmt: skip
    small = report.behaviour.model_copy(update={"least_effect": 0.5})
    publish(settings, report.model_copy(update={"behaviour": small}))
    answer = ask(settings)
    assert answer.experiments == ()
    assert "would have been found" in answer.settled[0]
    fine = report.behaviour.model_copy(update={"least_effect": 0.1})
    publish(settings, report.model_copy(update={"behaviour": fine}), at=5)
    (found,) = ask(settings).experiments
    assert found.kind == "more_prompts"
    assert found.n_groups is not None
    assert found.n_groups > 30


@pytest.mark.parametrize(
    ("effect", "half", "settled"), [(0.154, 0.113, True), (0.37, 0.113, False), (0.154, 0.3, False)]
)
def test_a_null_effect_is_settled_only_where_its_own_interval_holds_nothing_that_matters(
    settings: Settings, effect: float, half: float, settled: bool
) -> None:
    edit = edit_card(effect, q=1.0, half=half)
    beyond = {"low": effect - half - 0.382, "high": effect + half + 0.382, "method": "test"}
    edit["confirm"] |= {"difference": 0.0, "difference_interval": beyond, "detectable": 0.16}
    reasons = ("association_confirmed", "effect_like_control")
    made = intervene_report([unit_card("resid_post.2 #5", "needs_causal_evidence", [edit], reasons)])
    report = of_the_box(settings, made)
    publish(
        settings, report.model_copy(update={"behaviour": report.behaviour.model_copy(update={"least_effect": 0.382})})
    )
    answer = ask(settings)
    assert [one.kind for one in answer.experiments] == ([] if settled else ["more_prompts"])
    if settled:
        assert "0.154 [0.041, 0.267] where it had to exceed 0.382" in answer.settled[0]
        assert "0.542 would have been found with 80 % power" in answer.settled[0]


def test_what_is_weak_is_settled_with_its_reason(settings: Settings) -> None:
    inspected(settings, card(1, 5, "weak", ("sign_reversed",), confirm=0.2))
    answer = ask(settings)
    assert answer.experiments == ()
    assert answer.settled[0].startswith("resid_post.2 #5: weak")
    assert "settled" in answer.summary


@pytest.mark.parametrize(("n_groups", "settled"), [(6, False), (30, True)])
def test_what_a_search_could_not_have_found_is_not_settled(settings: Settings, n_groups: int, settled: bool) -> None:
    missed = card(1, 5, "weak", ("not_found_in_explore",), auroc=0.1, q=0.6, confirm=0.6)
    missed["explore"]["auroc"]["n_groups"] = n_groups
    report = of_the_box(settings, inspect_report([missed]))
    publish(settings, report.model_copy(update={"n_significant": 0}))
    answer = ask(settings)
    assert len(answer.settled) == settled
    if not settled:
        (found,) = answer.experiments
        assert (found.kind, found.missing, found.would_give) == ("more_prompts", "not_found_in_explore", "plausible")
        assert found.n_groups is not None
        half = found.n_groups // 2
        assert (
            detectable_auroc(half, half, alpha=0.05 / 64) <= 0.7 < detectable_auroc(half - 1, half - 1, alpha=0.05 / 64)
        )
        assert found.call is not None
        assert found.call.tool == "build_prompts"


def test_the_chance_follows_what_such_runs_gave_here(settings: Settings) -> None:
    for n, grade in enumerate(("validated", "validated", "needs_causal_evidence")):
        edited(settings, grade, "association_confirmed", at=n, request={"units": [{"address": "z.0", "head": n}]})
    inspected(settings, card(1, 5, "needs_causal_evidence", FOUND), at=9)
    answer = ask(settings)
    found = next(each for each in answer.experiments if each.kind == "edit")
    assert found.chance == pytest.approx(3 / 5)
    assert found.chance_from.startswith("2 of 3")


def test_cheap_runs_come_before_prompts_that_must_be_written_and_dear_prompts_move_them_further(
    settings: Settings,
) -> None:
    inspected(
        settings,
        card(1, 5, "plausible", ("confirm_uncertain",), confirm=0.62),
        card(2, 6, "needs_causal_evidence", FOUND),
    )
    answer = ask(settings)
    assert [each.kind for each in answer.experiments] == ["edit", "more_prompts"]
    assert answer.experiments[0].value > answer.experiments[1].value
    dearer = ask(settings, prompt_cost=200)
    assert dearer.experiments[1].value < answer.experiments[1].value


def test_new_prompts_count_what_is_run_on_them_and_edits_on_them_come_after_a_reading_alone(settings: Settings) -> None:
    edited(settings, "needs_causal_evidence", "association_confirmed", "effect_not_on_confirm",
           request={"units": [{"address": "resid_post.2", "index": 5}]})  # fmt: skip
    inspected(settings, card(2, 6, "plausible", ("confirm_uncertain",), confirm=0.7), at=3)
    found = {each.missing: each for each in ask(settings).experiments}
    edits, reading = found["effect_not_on_confirm"], found["confirm_uncertain"]
    assert reading.passes == reading.new_prompts
    assert edits.passes > 5 * edits.new_prompts
    assert reading.seconds is not None
    assert edits.seconds is not None
    assert edits.seconds / edits.new_prompts > 5 * reading.seconds / reading.new_prompts
    listed = ask(settings).experiments
    assert [each.value for each in listed] == sorted((each.value for each in listed), reverse=True)
    for each in listed:
        steps = gain(each.grade, each.would_give)
        cost = each.passes + 20 * each.new_prompts
        assert each.value == pytest.approx(1000 * each.chance * steps / cost, abs=1e-3)


def test_a_report_alone_can_be_planned_for_and_prompts_given_inline_give_no_call(settings: Settings) -> None:
    prompts = {"kind": "inline", "prompts": []}
    report = inspected(settings, card(1, 5, "needs_causal_evidence", FOUND), request={"dataset": prompts})
    (found,) = ask(settings, report=report).experiments
    assert found.call is None
    with pytest.raises(errors.NoDossier):
        ask(settings, report="0" * 64)


def test_a_plan_names_one_question() -> None:
    for wrong in ({}, {"report": "0" * 64, "model": MODEL}):
        with pytest.raises(ValidationError):
            BY_NAME["plan_evidence"].request.model_validate(wrong)


def test_every_reason_that_has_a_next_step_has_a_remedy_unless_it_says_that_nothing_is_there() -> None:
    nothing = {Reason.NOT_FOUND, Reason.ASSERTED}
    of_two_models = {reason for reason in Reason if reason.value.startswith("match_")}
    for reason in set(NEXT_STEPS) - nothing - of_two_models:
        assert remedy_for("plausible", (reason.value,)) is not None, reason
    assert remedy_for("weak", (Reason.NOT_FOUND.value,)) is None


def test_the_first_thing_in_the_way_comes_first() -> None:
    both = (Reason.NO_INTERVENTION.value, Reason.CONFOUND_SOLVES.value)
    assert remedy_for("plausible", both) == remedy_for("plausible", both[::-1])
    found = remedy_for("plausible", both)
    assert found is not None
    assert found[0] is Reason.CONFOUND_SOLVES
    assert remedy_for("plausible", (Reason.EFFECT_CONFIRMED.value,)) is None


def test_value_is_chance_times_gain_for_cost() -> None:
    assert value_for_cost(0.5, 2.0, passes=100, new_prompts=0, prompt_cost=20) == pytest.approx(10.0)
    assert value_for_cost(0.5, 2.0, passes=100, new_prompts=20, prompt_cost=20) == pytest.approx(2.0)
    assert gain("plausible", "validated") == 2.0
    assert gain("validated", "validated") < gain("needs_causal_evidence", "validated")
    assert smoothed(0, 0) == 0.5
    assert smoothed(9, 9) < 1.0


@pytest.mark.parametrize("away", [0.02, 0.1, 0.3])
def test_the_groups_counted_are_the_fewest_that_find_the_effect(away: float) -> None:
    n = groups_for_auroc(away)
    assert n is not None
    assert detectable_auroc(n, n) - 0.5 <= away < detectable_auroc(n - 1, n - 1) - 0.5
    spread = spread_from_detectable(detectable_mean(1.7, 12), 12)
    assert spread == pytest.approx(1.7)
    m = groups_for_mean(away, spread)
    assert m is not None
    assert detectable_mean(1.7, m) <= away < detectable_mean(1.7, m - 1)


def test_an_effect_that_no_set_in_reach_would_show_says_so() -> None:
    assert groups_for_auroc(1e-4) is None
    assert groups_for_mean(1e-6, 1.0) is None
