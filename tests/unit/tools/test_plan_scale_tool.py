"""plan_scale as it is called: for models that are here, for models on paper, for this machine and for others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.machine import PROFILE_FILE, PROFILE_KIND
from interp_lab.contracts.plan_scale import PlanScaleRequest, PlanScaleResult
from interp_lab.errors import InvalidMachineProfile, LabError, UnknownModelSize
from interp_lab.settings import Settings
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import BY_NAME
from interp_lab_tools.lab import Lab
from interp_lab_tools.plan_scale import PLAN_SCALE
from tests.unit.machine.scale.probed import probed

PROFILE: dict[str, Any] = {
    "measured_at": "2026-01-01T00:00:00Z",
    "host": "h",
    "system": "s",
    "processor": {"name": "cpu", "cores": 2, "usable": 2, "limited_by": "machine", "features": []},
    "memory": {"total": 2**34, "available": 2**34, "limited_by": "machine"},
    "disk": {"file_system": "ext4", "free": 2**40, "write_mb_per_s": 100, "read_mb_per_s": 1000},
    "accelerators": [],
    "rates": [
        {"what": "matmul_fp32", "device": "cpu", "value": 50, "unit": "GFLOP/s", "repeats": 3, "spread": 0.1},
    ],
    "work": [each.model_dump(mode="json") for each in probed()],
    "libraries": {},
    "credentials": [],
    "engines": [],
    "routes": [],
}


def ask(workspace: Path, **request: object) -> PlanScaleResult:
    with Lab.open(Settings(workspace=workspace)) as lab:
        result = PLAN_SCALE.handler(PlanScaleRequest.model_validate(request), lab)
    assert isinstance(result, PlanScaleResult)
    return result


def test_without_a_profile_the_plan_says_so_and_offers_to_make_one(tmp_path: Path) -> None:
    result = ask(tmp_path, parameters="70B", tokens="1B tokens")
    assert "no machine to plan for" in result.summary
    assert [action.tool for action in result.agent_next_actions] == ["profile_env"]
    assert result.routes == ()
    assert any("only usual for this size" in warning for warning in result.warnings)


def test_a_saved_profile_of_another_machine_can_be_planned_for(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps(PROFILE))
    result = ask(tmp_path, parameters="100M", tokens="1M", profile="other.json")
    route = result.routes[0]
    assert (route.route, route.fits) == ("local_cpu", True)
    assert [stage.stage for stage in route.stages] == ["harvest", "train", "interventions"]
    assert "An estimate" in result.summary


def kept(lab: Lab, profile: dict[str, Any]) -> None:
    """Publish what a version of the lab found of this machine."""
    origin = Origin(
        job=None, attempt=0, started=datetime.now(UTC), spec={}, inputs={}, code_version="other", package_versions={},
        device="cpu", seeds={},
    )  # fmt: skip
    with lab.engine.inline.artifact(
        PROFILE_KIND, f"this machine {len(lab.engine.list_artifacts().items)}", origin
    ) as files:
        files.write_json(PROFILE_FILE, profile)


def test_a_profile_that_another_version_wrote_is_passed_over_for_the_newest_that_can_be_read(tmp_path: Path) -> None:
    strange = {**PROFILE, "memory": "as another version writes it"}
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        for profile in (PROFILE, strange, strange):
            kept(lab, profile)
    result = ask(tmp_path, parameters="100M", tokens="1M")
    assert result.routes[0].route == "local_cpu"
    (said,) = [warning for warning in result.warnings if "cannot be read" in warning]
    assert said.startswith("The 2 newest profiles of this machine cannot be read by this version")
    assert "that of 2026-01-01 00:00 is used" in said
    assert "profile_env" in [action.tool for action in result.agent_next_actions]


def test_where_no_profile_can_be_read_the_plan_is_made_without_one(tmp_path: Path) -> None:
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        kept(lab, {**PROFILE, "memory": "as another version writes it"})
    result = ask(tmp_path, parameters="100M", tokens="1M")
    assert result.routes == ()
    assert any("none is left" in warning for warning in result.warnings)


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({**PROFILE, "memory": "much"}))
    with pytest.raises(InvalidMachineProfile):
        ask(tmp_path, parameters="1B", profile="other.json")
    (tmp_path / "nan.json").write_text(json.dumps(PROFILE).replace("50,", "NaN,"))
    with pytest.raises(LabError):
        ask(tmp_path, parameters="1B", profile="nan.json")


def test_the_shape_of_a_model_that_is_here_is_read_from_its_files(tmp_path: Path) -> None:
    result = ask(tmp_path, model="builtin:pocket-gpt2", dataset="builtin:person-name", tokens=1000, n_addresses=2)
    found = {row.name: row for row in result.quantities if row.group == "model"}
    assert (found["n_layers"].value, found["d_model"].value, found["d_model"].known) == (4, 160, "files")
    assert [call.tool for call in result.calls] == ["harvest", "train_sae", "intervene"]


@pytest.mark.parametrize("storage", ["stored", "streamed"])
def test_the_calls_of_a_plan_are_valid_once_what_they_wait_for_is_filled_in(tmp_path: Path, storage: str) -> None:
    result = ask(
        tmp_path, model="builtin:pocket-gpt2", dataset="builtin:person-name", tokens="1M", storage=storage, k=8
    )
    for call in result.calls:
        filled = {name: "a" * 64 if name in ("source", "report") else "builtin:person-name" for name in call.fill}
        BY_NAME[call.tool].request.model_validate(call.arguments | filled)
    for action in result.agent_next_actions:
        BY_NAME[action.tool].request.model_validate(action.arguments)
    assert any(action.tool in ("harvest", "train_sae") for action in result.agent_next_actions)


@pytest.mark.parametrize(("storage", "ranks"), [("stored", 4), ("streamed", None)])
def test_the_calls_are_cut_as_the_plan_says_and_valid(tmp_path: Path, storage: str, ranks: int | None) -> None:
    asked: dict[str, Any] = {
        "model": "builtin:pocket-gpt2",
        "dataset": "builtin:person-name",
        "device": "l4",
        "n_devices": 6,
    }
    result = ask(tmp_path, **asked, tokens="100B", storage=storage, shard_hours=0.01)
    called = {call.tool: call for call in result.calls}
    for call in result.calls:
        filled = {name: "a" * 64 if name in ("source", "report") else "builtin:person-name" for name in call.fill}
        BY_NAME[call.tool].request.model_validate(call.arguments | filled)
    assert called["train_sae"].arguments.get("ranks") == ranks, "the most of 6 devices that share 1,024 tokens evenly"
    route = result.routes[0]
    assert called["intervene"].arguments["shards"] == 6
    if storage == "stored":
        assert called["harvest"].arguments["shards"] == route.n_shards > route.n_devices
        pieces = next(stage.seconds for stage in route.stages if stage.stage == "harvest") * 6 / route.n_shards
        assert pieces <= 36


def test_one_piece_on_one_device_asks_for_no_shards(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps(PROFILE))
    result = ask(
        tmp_path, model="builtin:pocket-gpt2", dataset="builtin:person-name", tokens="1M", profile="other.json"
    )
    assert not any({"shards", "ranks"} & call.arguments.keys() for call in result.calls if call.tool != "intervene")


def test_a_model_that_is_not_here_needs_a_size(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelSize):
        ask(tmp_path, model="meta-llama/Llama-2-70b-hf")
    assert ask(tmp_path, model="meta-llama/Llama-2-70b-hf", parameters="69B", n_layers=80, d_model=8192).quantities


@pytest.mark.parametrize("n_devices", [4, 24])
def test_advice_for_a_model_larger_than_a_device_does_not_promise_that_more_devices_hold_it(
    tmp_path: Path, n_devices: int
) -> None:
    plan = ask(tmp_path, parameters="1T", tokens="1B tokens", model_dtype="int8", device="h200", n_devices=n_devices)
    route = next(route for route in plan.routes if route.n_devices == n_devices)
    assert not route.fits
    assert any("your own engine" in change and "more n_devices alone do not help" in change for change in route.change)


def test_more_units_than_a_call_edits_are_spread_over_calls_as_far_as_a_report_ranks_them(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "builtin:pocket-gpt2", "dataset": "builtin:person-name", "tokens": "1M"}
    plan = ask(tmp_path, **asked, units=120)
    ranks = [call.arguments["ranks"] for call in plan.calls if call.tool == "intervene"]
    assert ranks == [list(range(1, 33)), list(range(33, 51))]
    assert any("50 coordinates" in warning for warning in plan.warnings)
    assert not any("coordinates" in warning for warning in ask(tmp_path, **asked, units=32).warnings)
    runs = {
        units: next(row.value for row in ask(tmp_path, **asked, units=units).quantities if row.name == "edited_runs")
        for units in (32, 120)
    }
    assert runs[120] / runs[32] == pytest.approx(120 / 32)
    assert [call.tool for call in ask(tmp_path, **asked, units=0).calls] == ["harvest", "train_sae"]


def test_runs_are_counted_as_a_dry_run_of_the_same_call_counts_them(tmp_path: Path) -> None:
    """432 prompts, half of them with a person: what the plan assumes of any set is true of this one."""
    asked: dict[str, Any] = {"model": "builtin:pocket-gpt2", "dataset": "builtin:person-name", "prompts": 432}
    plan = ask(tmp_path, **asked, units=2, strengths=2)
    planned = next(row.value for row in plan.quantities if row.name == "edited_runs")
    call = next(call for call in plan.calls if call.tool == "intervene").arguments
    chosen = {name: value for name, value in call.items() if name in ("model", "strengths", "n_controls")}
    units = [{"address": "resid_post.2", "index": index} for index in (3, 7)]
    request = {**chosen, "criterion": "a person is named", "dataset": "builtin:person-name", "units": units}
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        job = BY_NAME["intervene"]
        assert isinstance(job, JobCapability)
        details = job.plan(job.request.model_validate(request), lab).details
    counted = details["n_passes"]
    assert isinstance(counted, int)
    assert planned == counted - 3 * 432, "all but the unedited runs"
