"""What dry runs of train_probe and harvest_policy say, and what they refuse before any work."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.policy import MlpPolicy
from interp_lab.contracts.probe import TrainProbePlan
from interp_lab.contracts.store import DenseColumn, StoreHeader
from interp_lab.errors import InvalidRequest, NotAStore, PathOutsideWorkspace, PolicyUnusable, UnknownColumn
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import BY_NAME
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab

N = 60


def write_store(folder: Path, seed: int) -> None:
    header = StoreHeader(columns=(DenseColumn(address="resid_post.0", width=4),))
    with StoreWriter(folder, header) as writer:
        rows = {"prompt": np.arange(N), "position": np.zeros(N, dtype=int)}
        values = np.random.default_rng(seed).normal(size=(N, 4)).astype(np.float32)
        writer.add(RowBlock(rows, {"resid_post.0": values}))
        names = [f"w{i}q" for i in range(N)]
        writer.finish({"id": names, "text": names, "group": np.arange(N), "score": np.arange(N) % 2})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_store(tmp_path / "acts", seed=0)
    (tmp_path / "pole").mkdir()
    config = MlpPolicy(n_observations=4, hidden=(3,), n_actions=2, actions="discrete")
    (tmp_path / "pole" / "policy.json").write_text(config.model_dump_json())
    (tmp_path / "pole" / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def planned(workspace: Path, name: str, **arguments: Any) -> JobView:
    with Lab.open(Settings(workspace=workspace, cpu_slots=1, gpu_slots=0)) as lab:
        view = dispatch(lab, name, {**arguments, "dry_run": True})
    assert isinstance(view, JobView)
    return view


def test_a_dry_run_of_a_probe_says_who_trains_who_chooses_and_who_confirms(workspace: Path) -> None:
    view = planned(workspace, "train_probe", store="acts")
    plan = TrainProbePlan.model_validate(view.plan)
    assert (plan.counts.train, plan.counts.explore, plan.counts.confirm) == (24, 18, 18)
    assert plan.columns == ("resid_post.0",)
    assert plan.task == "binary"
    assert view.agent_next_actions[0].arguments == {"store": "acts"}


@pytest.mark.parametrize(("name", "options"), [("train_probe", {}), ("store_export", {"format": "npz"})])
def test_other_activations_of_the_same_prompts_in_the_same_folder_are_new_work(
    workspace: Path, name: str, options: dict[str, Any]
) -> None:
    capability = BY_NAME[name]
    assert isinstance(capability, JobCapability)
    request = capability.request.model_validate({"store": "acts", **options})
    with Lab.open(Settings(workspace=workspace, cpu_slots=1, gpu_slots=0)) as lab:
        before = capability.plan(request, lab).inputs
        assert capability.plan(request, lab).inputs == before
        shutil.rmtree(workspace / "acts")
        write_store(workspace / "acts", seed=1)
        assert capability.plan(request, lab).inputs != before


def test_a_probe_that_cannot_be_trained_is_refused_before_a_job_starts(workspace: Path) -> None:
    with pytest.raises(UnknownColumn):
        planned(workspace, "train_probe", store="acts", addresses=["resid_post.9"])
    with pytest.raises(NotAStore):
        planned(workspace, "train_probe", store="pole")
    with pytest.raises(PathOutsideWorkspace):
        planned(workspace, "train_probe", store="../acts")
    with pytest.raises(InvalidRequest):
        planned(workspace, "train_probe", store="acts", target="__import__('os')")


def test_a_dry_run_of_a_policy_counts_what_it_would_play(workspace: Path) -> None:
    asked = {"policy": "pole", "environment": "CartPole-v1", "addresses": ["module:layers.0"], "episodes": 7}
    view = planned(workspace, "harvest_policy", **asked, max_steps=50)
    assert view.plan is not None
    assert view.plan["n_steps_at_most"] == 350
    assert view.plan["n_parameters"] == 4 * 3 + 3 + 3 * 2 + 2


def test_a_policy_that_cannot_be_played_is_refused_before_a_job_starts(workspace: Path) -> None:
    asked = {"policy": "pole", "environment": "CartPole-v1", "addresses": ["module:layers.0"]}
    for wrong in ({"environment": "module:Env-v0"}, {"addresses": ["resid_post.0"]}, {"metrics": ["x=exit()"]}):
        with pytest.raises(InvalidRequest):
            planned(workspace, "harvest_policy", **(asked | wrong))
    (workspace / "pole" / "model.safetensors").unlink()
    with pytest.raises(PolicyUnusable):
        planned(workspace, "harvest_policy", **asked)
