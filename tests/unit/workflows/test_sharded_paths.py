"""Paths swept and rerun in shards: every number of one process, also when a shard is lost or damaged on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.trace_paths import TracePathsRequest
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.engine.paths.effects import Effects, PathRunner
from interp_lab.jobs.parts.record import PartName
from interp_lab.jobs.run import LocalRun
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.settings import Settings
from interp_lab.workflows.trace_paths import trace_paths
from interp_lab.workflows.tracing import choosing
from interp_lab.workflows.tracing.context import Suggest
from interp_lab.workflows.validate_paths import validate_paths
from interp_lab_server.worker import find_work
from tests.parts_here import HerePlace, damage, in_parts, job_of, part, published
from tests.unit.workflows.test_sharded_interventions import PROMPTS

SOURCES = [{"address": "resid_post.1", "index": index} for index in (3, 7, 11)]
REQUEST: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "criterion": "a distance is named",
    "dataset": {"kind": "inline", "prompts": PROMPTS},
    "sources": SOURCES,
    "targets": [{"address": "resid_post.3", "index": index} for index in (2, 5)],
    "scales": [-1.0, 1.0],
    "hold": ["attention"],
    "n_controls": 2,
    "n_measured": 2,
    "target_tokens": [" and"],
    "alternative_tokens": [" to"],
    "dry_run": False,
    "shards": 2,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path)


def in_one(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    with LocalRun(settings.workspace / "whole", workspace=settings.workspace) as run:
        trace_paths(TracePathsRequest.model_validate(request), run, settings=settings, suggest=Suggest())
        assert not list(run.checkpoint_dir.glob("edits-*")), "alone, nothing is put by for others"
        return published(run.written)


def test_shards_give_every_number_of_one_process_though_one_is_lost_and_one_damaged(settings: Settings) -> None:
    def spoil(task: str) -> None:
        if task == "shard-1-00000-1":
            damage(next(part(settings, PartName(1, 0)).output.glob("edits-*")))

    run = job_of(settings, "trace_paths", REQUEST)
    lost = "shard-0-00001-1"
    place = HerePlace(find_work, settings.to_env(), vanish=lambda task: task == lost, after=spoil)
    in_parts(run, settings, place)
    assert place.started == [
        *("lead-0-1", "shard-0-00000-1", "shard-0-00001-1", "shard-0-00001-2"),
        *("lead-1-1", "shard-1-00000-1", "shard-1-00001-1"),
        *("lead-2-1", "shard-1-00000-2", "lead-2-2"),
    ]
    found, expected = published([sealed.folder for sealed in run.sealed]), in_one(settings, REQUEST)
    assert expected["report"]["paths"]
    assert found == expected
    other = in_one(Settings(workspace=settings.workspace), REQUEST | {"scales": [1.0, -1.0]})
    assert other["report"]["paths"] != expected["report"]["paths"], "another question has other numbers"


def test_a_screen_that_does_not_choose_costs_no_stage_and_no_prompt_is_run_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: dict[str, Any] = REQUEST | {"n_measured": 3, "hold": []}
    run = job_of(settings, "trace_paths", request)
    seen: list[str] = []
    plain = PathRunner.__call__

    def counted(self: PathRunner, prompt: TokenizedPrompt) -> Effects:
        seen.append(prompt.id)
        return plain(self, prompt)

    with monkeypatch.context() as patch:
        patch.setattr(PathRunner, "__call__", counted)
        place = HerePlace(find_work, settings.to_env())
        in_parts(run, settings, place)
    assert place.started == ["lead-0-1", "shard-0-00000-1", "shard-0-00001-1", "lead-1-1"]
    assert len(seen) == len(set(seen)) >= 4
    assert published([sealed.folder for sealed in run.sealed]) == in_one(settings, request)


def test_a_margin_in_shards_has_the_numbers_of_one_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "N_DRAWN", 1)
    change = {"screen": "gradient", "n_measured": 1, "scales": [-1.0], "hold": [], "behaviour": False}
    request: dict[str, Any] = {**REQUEST, **change}
    run = job_of(settings, "trace_paths", request)
    place = HerePlace(find_work, settings.to_env())
    in_parts(run, settings, place)
    stages = [(f"lead-{n}-1", f"shard-{n}-00000-1", f"shard-{n}-00001-1") for n in range(4)]
    assert place.started == [*(task for stage in stages for task in stage), "lead-4-1"]
    found, expected = published([sealed.folder for sealed in run.sealed]), in_one(settings, request)
    assert found == expected
    assert (expected["report"]["screen"]["how"], expected["report"]["screen"]["n_checked"]) == ("gradient", 3)


CLAIMS: dict[str, Any] = {name: REQUEST[name] for name in REQUEST.keys() - {"sources", "targets", "n_measured"}} | {
    "pairs": ["resid_post.1#3=resid_post.3#2", "resid_post.1#7=resid_post.3#5", "resid_post.1#3=output"]
}


def test_claims_rerun_in_shards_give_every_number_of_one_process_though_one_is_lost_and_one_damaged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    plain = PathRunner.__call__

    def counted(self: PathRunner, prompt: TokenizedPrompt) -> Effects:
        seen.append(prompt.id)
        return plain(self, prompt)

    def spoil(task: str) -> None:
        if task == "shard-0-00000-1":
            damage(next(part(settings, PartName(0, 0)).output.glob("edits-*")))

    run = job_of(settings, "validate_paths", CLAIMS)
    lost = "shard-0-00001-1"
    place = HerePlace(find_work, settings.to_env(), vanish=lambda task: task == lost, after=spoil)
    with monkeypatch.context() as patch:
        patch.setattr(PathRunner, "__call__", counted)
        in_parts(run, settings, place)
    assert place.started == [
        *("lead-0-1", "shard-0-00000-1", "shard-0-00001-1", "shard-0-00001-2"),
        *("lead-1-1", "shard-0-00000-2", "lead-1-2"),
    ]
    assert len(seen) == len(set(seen)) > len(PROMPTS) / 2, "held out of both kinds and those that explore, each once"
    found = published([sealed.folder for sealed in run.sealed])
    with LocalRun(settings.workspace / "whole", workspace=settings.workspace) as whole:
        validate_paths(ValidatePathsRequest.model_validate(CLAIMS), whole, settings=settings, suggest=Suggest())
        expected = published(whole.written)
    assert len(expected["report"]["paths"]) == 3
    assert all(card["confirm"] and card["explore"] for card in expected["report"]["paths"])
    assert found == expected
