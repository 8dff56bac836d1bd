"""Offered calls: checked, with cost and with what they change; there is always one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.results import Result
from interp_lab.errors import ReadOnlyLab
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.capability import InlineCapability, JobCapability, Plan
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.job_list import JOB_LIST
from interp_lab_tools.lab import Lab
from interp_lab_tools.mending import mending
from interp_lab_tools.offers import AT_ONCE, checked, with_offers

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
NAMES = {"model": "builtin:pocket-llama", "criterion": "the word is a person's name", "dataset": "builtin:person-name"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0), ALL) as opened:
        yield opened


def action(tool: str, **arguments: Any) -> NextAction:
    return NextAction(tool=tool, arguments=arguments, why="To see.")


def test_a_call_that_starts_a_job_says_what_its_plan_says_it_takes(lab: Lab) -> None:
    (made,) = checked([action("inspect", **NAMES)], lab)
    plan = call(lab, "inspect", NAMES | {"dry_run": True})
    assert made.cost == f"A job: {plan.summary.removeprefix('Dry run, nothing started. ')}"
    assert made.changes == BY_NAME["inspect"].changes
    (dry,) = checked([action("inspect", **NAMES, dry_run=True)], lab)
    assert dry.cost.startswith("This call only plans.")


@pytest.mark.parametrize(
    "refused",
    [
        action("inspect", **NAMES, surprise=1),
        action("inspect", **NAMES | {"dataset": "builtin:no-such-set"}),
        action("intervene", **NAMES, units=[{"address": "resid_post.99", "index": 0}]),
        action("no_such_tool"),
    ],
)
def test_a_call_that_would_be_refused_is_never_offered(lab: Lab, refused: NextAction) -> None:
    held = action("lab_overview")
    assert [each.tool for each in checked([refused, held], lab)] == ["lab_overview"]


def test_a_call_whose_arguments_are_wrong_is_a_fault_that_the_log_names(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    assert not checked([action("inspect", **NAMES, surprise=1)], lab)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_answer_is_kept_where_the_plan_of_a_call_after_it_breaks(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Plan:
        raise OSError("a disk that does not answer")

    inspect = BY_NAME["inspect"]
    assert isinstance(inspect, JobCapability)

    def offered(*_: object, **__: object) -> tuple[InlineCapability | JobCapability, ...]:
        return replace(inspect, plan=broken), JOB_LIST

    monkeypatch.setattr("interp_lab_tools.offers.offered", offered)
    answer = Result(summary="Done.", agent_next_actions=(action("inspect", **NAMES), action("job_list")))
    kept = with_offers(answer, lab)
    assert (kept.summary, [each.tool for each in kept.agent_next_actions]) == ("Done.", ["job_list"])
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_answer_that_leaves_nothing_open_says_so_with_a_call(lab: Lab) -> None:
    (only,) = with_offers(Result(summary="Done."), lab).agent_next_actions
    assert (only.tool, only.arguments) == ("lab_overview", {"sections": ["capabilities"]})
    assert "leaves no call open" in only.why
    assert only.cost
    assert only.changes
    kept = with_offers(Result(summary="s", agent_next_actions=(action("job_list"),)), lab).agent_next_actions
    assert [each.tool for each in kept] == ["job_list"]


def test_only_a_call_that_asks_for_a_file_is_said_to_write_one_and_a_server_that_writes_nothing_offers_none(
    lab: Lab,
) -> None:
    known = {name: NAMES[name] for name in ("model", "criterion")}
    reads, asks = action("dossier", **known), action("dossier", **known, publish=True)
    assert [each.cost for each in checked([reads, asks], lab)] == [AT_ONCE, f"{AT_ONCE[:-1]}; writes to the workspace."]
    kept = Lab(settings=lab.settings, engine=lab.engine, toolsets=ALL, read_only=True)
    assert [each.arguments for each in checked([reads, asks], kept)] == [known]
    with pytest.raises(ReadOnlyLab):
        call(kept, "dossier", {**known, "publish": True})
    again = mending(ReadOnlyLab.code, "dossier", {**known, "publish": True}, kept)
    assert [(each.tool, each.arguments) for each in again] == [("dossier", known)]
    asked = {c.name: c.effects.writes_if_asked for c in CAPABILITIES if c.effects.writes_if_asked}
    assert all(set(names) <= set(BY_NAME[tool].request.model_fields) for tool, names in asked.items())


def test_a_plan_hands_out_its_own_call_even_where_the_toolset_is_not_offered(lab: Lab) -> None:
    few = Lab(settings=lab.settings, engine=lab.engine)
    view = call(few, "intervene", NAMES | {"units": [{"address": "resid_post.2", "index": 5}]})
    assert isinstance(view, JobView)
    assert [each.tool for each in view.agent_next_actions] == ["intervene"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("lab_overview", {}),
        ("plan_scale", dict(BY_NAME["plan_scale"].example)),
        ("build_prompts", dict(BY_NAME["build_prompts"].example)),
        ("audit_prompts", {"dataset": "builtin:question"}),
        ("audit_prompts", {"dataset": "builtin:wrong-length"}),
        ("register_hypothesis", dict(BY_NAME["register_hypothesis"].example)),
        ("job_list", {}),
        ("artifact_list", {}),
        ("gallery", {}),
        ("dossier", {}),
    ],
)
def test_every_answer_has_a_call_with_cost_and_change(lab: Lab, tool: str, arguments: dict[str, Any]) -> None:
    answer = call(lab, tool, arguments)
    assert 1 <= len(answer.agent_next_actions) <= 3
    for each in answer.agent_next_actions:
        BY_NAME[each.tool].request.model_validate(each.arguments)
        assert each.cost
        assert each.changes


def test_an_audit_leads_to_the_inspection_that_the_set_is_for_and_a_useless_one_to_other_sets(lab: Lab) -> None:
    clean = call(lab, "audit_prompts", {"dataset": "builtin:question"}).agent_next_actions
    assert clean[0].tool == "inspect"
    assert clean[0].arguments["dataset"] == "builtin:question"
    wrong = call(lab, "audit_prompts", {"dataset": "builtin:wrong-length"}).agent_next_actions
    assert "lab_overview" in [each.tool for each in wrong]
