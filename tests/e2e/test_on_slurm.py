"""Harvest in two shards and training in two ranks by a real slurmctld: the bytes of this machine."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.jobs import JobView
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.contract.slurm_cluster import slurm_cluster
from tests.e2e import one_way_worker

PATIENCE_S = 900.0
HARVEST = {"model": "builtin:pocket-llama", "dataset": "corpus.txt", "addresses": ["resid_post.2"]}
TRAINING = {"total_tokens": 8192, "batch_tokens": 512, "select": "fp32"}


def made_by(lab: Lab, name: str, request: dict[str, Any], kind: str) -> tuple[str, dict[str, str]]:
    """Return the id of what a job makes, and the hash of each of its files of numbers."""
    view = call(lab, name, request | {"wait_s": 0})
    assert isinstance(view, JobView)
    assert view.job_id is not None
    deadline = time.monotonic() + PATIENCE_S
    while not lab.engine.get(view.job_id).final:
        assert time.monotonic() < deadline
        lab.engine.tick()
        time.sleep(0.05)
    assert lab.engine.get(view.job_id).state == "succeeded", lab.engine.logs(view.job_id).text
    (made,) = [manifest for manifest in lab.engine.artifacts_of(view.job_id) if manifest.kind == kind]
    return made.id, {f.name: f.sha256 for f in made.files if f.name.endswith((".parquet", ".safetensors", ".bin"))}


def investigation(settings: Settings, shards: int) -> list[dict[str, str]]:
    draw = random.Random(0)
    told = "the men went down to town and came home before night fell by water"
    words = told.split()
    texts = [" ".join(draw.choices(words, k=150)) for _ in range(40)]
    settings.workspace.mkdir()
    (settings.workspace / "corpus.txt").write_text("\n\n".join(texts))
    with Lab.open(settings) as lab:
        store, rows = made_by(lab, "harvest", HARVEST | {"shards": shards}, "activation_store")
        asked: dict[str, Any] = {
            "source": {"kind": "store", "store": store},
            "addresses": ["resid_post.2"],
            "widths": [128],
            "sparsities": [8],
            "ranks": 2,
            "training": TRAINING,
        }
        return [rows, made_by(lab, "train_sae", asked, "dictionary")[1]]


@pytest.mark.slurm
def test_shards_and_ranks_on_slurm_give_the_bytes_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, str(one_way_worker.__file__))
    options: dict[str, Any] = {"worker_command": command, "cpu_slots": 2}
    here = investigation(Settings(workspace=tmp_path / "here", **options), shards=1)
    with slurm_cluster() as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        there = investigation(Settings(workspace=tmp_path / "there", launcher="slurm", **options), shards=2)
    assert all(here)
    assert there == here
