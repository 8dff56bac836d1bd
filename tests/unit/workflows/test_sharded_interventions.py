"""An intervention in shards: every number of one process, also when a shard is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.intervene import REPORT_KIND, InterveneRequest
from interp_lab.contracts.plan_scale import PlanScaleRequest
from interp_lab.errors import CannotBeSharded
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.intervene import intervene
from interp_lab.workflows.plan_scale import plan_scale
from interp_lab_server.worker import find_work
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.parts_here import HerePlace, in_parts, job_of, published

PROMPTS = [
    {"text": f"{who} walked {number} {unit}", "score": float(unit == "kilometres"), "id": f"{who}-{number}-{unit}"}
    for who in ("The man", "The woman", "A boy", "Her friend", "The doctor", "A girl")
    for number in ("two", "five")
    for unit in ("kilometres", "times")
]
REQUEST: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "criterion": "a distance is named",
    "dataset": {"kind": "inline", "prompts": PROMPTS},
    "units": [{"address": "resid_post.2", "index": 3}, {"address": "resid_post.1", "index": 7}],
    "edits": ["amplify"],
    "strengths": [1.0, 2.0],
    "targets": [" and"],
    "alternatives": [" to"],
    "n_controls": 1,
    "dry_run": False,
    "shards": 2,
}
WHOSE = ("effects", "controls")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path)


def test_shards_give_every_number_of_one_process_though_one_is_lost(settings: Settings) -> None:
    run = job_of(settings, "intervene", REQUEST)
    place = HerePlace(find_work, settings.to_env(), vanish=lambda task: task == "shard-1-00001-1")
    in_parts(run, settings, place)
    assert place.started == [
        *("lead-0-1", "shard-0-00000-1", "shard-0-00001-1"),
        *("lead-1-1", "shard-1-00000-1", "shard-1-00001-1", "shard-1-00001-2"),
        "lead-2-1",
    ]
    with LocalRun(settings.workspace / "whole", workspace=settings.workspace) as whole:
        request = InterveneRequest.model_validate(REQUEST)
        intervene(request, whole, settings=settings, suggest=lambda _: ())
        expected = published(whole.written)
    assert {sealed.manifest.kind for sealed in run.sealed} >= {REPORT_KIND}
    found = published([sealed.folder for sealed in run.sealed])
    assert len(expected) >= 2
    assert found == expected


def test_the_call_of_a_plan_for_two_devices_is_the_one_that_is_cut_here(settings: Settings) -> None:
    asked: dict[str, Any] = {"model": REQUEST["model"], "dataset": "builtin:question", "tokens": "100k", "units": 2}
    edits = {"strengths": 2, "controls": 1, "device": "l4", "n_devices": 2}
    plan = plan_scale(PlanScaleRequest.model_validate(asked | edits), settings=settings)
    (call,) = [call for call in plan.calls if call.tool == "intervene"]
    said = {name: value for name, value in call.arguments.items() if name != "ranks"}
    assert said == {name: REQUEST[name] for name in ("model", "strengths", "n_controls", "shards")}
    assert call.fill.keys() == {"report", "criterion", "dataset"}


def test_effects_and_controls_of_a_later_unit_are_kept_apart(settings: Settings) -> None:
    asked = REQUEST | {"metric": "downstream", "downstream": {"address": "resid_post.3", "index": 2}, "shards": 1}
    with LocalRun(settings.workspace / "whole", workspace=settings.workspace) as run:
        intervene(InterveneRequest.model_validate(asked), run, settings=settings, suggest=lambda _: ())
        kept = {path.name for path in run.checkpoint_dir.glob("*positives*.jsonl")}
    assert kept == {f"{half}-positives-{whose}.jsonl" for half in ("explore", "confirm") for whose in WHOSE}


@pytest.mark.parametrize(
    "asked", [{"metric": "score", "scorer": {"name": "lexicon", "words": ["and"]}}, {"precise_to": 0.2}]
)
def test_what_no_shard_can_do_alone_is_refused_before_anything_starts(
    settings: Settings, asked: dict[str, Any]
) -> None:
    with Lab.open(settings) as lab, pytest.raises(CannotBeSharded):
        call(lab, "intervene", REQUEST | asked)
