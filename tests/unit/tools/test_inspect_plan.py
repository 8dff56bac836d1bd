"""What a dry run of inspect says: what is known about the cost, and nothing that is not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.jobs import JobView
from interp_lab.errors import InvalidRequest, TooFewGroups
from interp_lab.settings import Settings
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.inspect import INSPECT
from interp_lab_tools.lab import Lab
from interp_lab_tools.validate import validate

ROWS = [
    {"text": "the cat sat", "score": 1},
    {"text": "one more cat slept", "score": 1},
    {"text": "the dog ran", "score": 0},
    {"text": "it was raining there", "score": 0},
]
REQUEST: dict[str, Any] = {"criterion": "about a cat", "dataset": {"kind": "inline", "prompts": ROWS}}


@pytest.fixture
def settings(tiny_models: Callable[[str], Path], tmp_path: Path) -> Settings:
    shutil.copytree(tiny_models("gpt2"), tmp_path / "tiny")
    return Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0)


def plan(settings: Settings, **changes: Any) -> JobView:
    with Lab.open(settings) as lab:
        view = dispatch(lab, "inspect", {**REQUEST, "model": "tiny", **changes, "dry_run": True})
    assert isinstance(view, JobView)
    return view


@pytest.mark.parametrize(
    ("device", "gpu_slots", "slot"),
    [("auto", 0, "cpu"), ("auto", 1, "gpu"), ("cpu", 1, "cpu"), ("cuda", 1, "gpu"), ("cuda:0", 0, "gpu")],
)
def test_a_job_waits_for_the_slot_whose_device_it_will_see(
    settings: Settings, device: str, gpu_slots: int, slot: str
) -> None:
    request = validate(INSPECT.request, {**REQUEST, "model": {"id": "tiny", "device": device}})
    with Lab.open(replace(settings, gpu_slots=gpu_slots)) as lab:
        assert INSPECT.plan(request, lab).slot == slot


def test_the_cost_of_a_model_on_this_machine_is_in_the_plan(settings: Settings) -> None:
    view = plan(settings)
    assert view.plan is not None
    assert view.plan["addresses"] == ["resid_post.0", "resid_post.1", "resid_post.2"]
    assert view.plan["n_coordinates"] == 3 * 32
    assert view.plan["weight_bytes"] == (settings.workspace / "tiny" / "model.safetensors").stat().st_size


def test_the_cost_of_a_model_that_must_be_fetched_is_unknown_not_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interp_lab_tools.inspect.locate", lambda *_: None)
    monkeypatch.setattr("interp_lab_tools.inspect.fingerprint", lambda *_: "org/name@main")
    view = plan(settings, model="org/name")
    assert view.plan is not None
    assert not {"addresses", "n_coordinates", "weight_bytes", "peak_bytes"} & view.plan.keys()
    assert "every layer, an unknown number of coordinates; memory unknown" in view.summary
    assert view.warnings


def test_the_memory_of_a_place_of_unknown_width_is_unknown(settings: Settings) -> None:
    view = plan(settings, addresses=["resid_post.0", "module:transformer.h.0.mlp"])
    assert view.plan is not None
    assert not {"n_coordinates", "peak_bytes"} & view.plan.keys()
    assert "weight_bytes" in view.plan


@pytest.mark.parametrize(("dataset", "told"), [("builtin:wrong-length", True), ("builtin:question", False)])
def test_a_dry_run_warns_of_a_set_that_is_solved_without_a_model(settings: Settings, dataset: str, told: bool) -> None:
    view = plan(settings, model="builtin:pocket-gpt2", dataset=dataset)
    said = [warning for warning in view.warnings if warning.startswith("The prompt set is unusable")]
    assert bool(said) is told
    assert all("length alone reaches AUROC 1.00" in warning for warning in said)


def test_learning_directions_reads_twice_and_counts_directions(settings: Settings) -> None:
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnop", k=7)) for _ in range(24 * 6)]
    rows = [{"text": " ".join(words[i * 6 : i * 6 + 6]), "score": i % 2} for i in range(24)]
    dataset = {"kind": "inline", "prompts": rows}
    evidence = {"kind": "directions", "n_components": 2}
    view = plan(settings, dataset=dataset, evidence=evidence, addresses=["resid_post.0", "attn_out.1"])
    assert view.plan is not None
    assert view.plan["n_coordinates"] == 2 * (3 + 2)
    assert view.plan["n_forward_passes"] == 2 * 24


def test_too_few_groups_to_learn_from_are_refused_before_any_work(settings: Settings) -> None:
    with pytest.raises(TooFewGroups, match="direction"):
        plan(settings, evidence="directions")


def test_dictionaries_beside_directions_are_refused(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="evidence"):
        plan(settings, evidence="directions", dictionaries=["some"])
