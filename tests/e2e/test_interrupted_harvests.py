"""A harvest in a real worker that is killed or cancelled in the middle."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.jobs import JobView
from interp_lab.jobs.environment import marker
from interp_lab.jobs.processes import kill_leftovers
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.store.names import ROWS, record_file, shard_file
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.e2e import gated_worker, small_shards_worker
from tests.e2e.gated_worker import BEFORE_A_RECORD, BETWEEN_STRETCHES, Gate

WORKER = Path(gated_worker.__file__)
HANGS_AFTER_S = 600.0
"""Ends a test that would never end; no test is decided by it."""
REQUEST = {"model": "builtin:pocket-llama", "dataset": "corpus.txt", "addresses": ["resid_post.5", "mlp_out.2"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    words = [
        "the",
        "men",
        "went",
        "down",
        "to",
        "town",
        "and",
        "came",
        "home",
        "before",
        "night",
        "fell",
        "by",
        "water",
    ]
    draw = random.Random(0)
    paragraphs = [" ".join(draw.choices(words, k=150)) for _ in range(80)]
    (tmp_path / "corpus.txt").write_text("\n\n".join(paragraphs))
    return tmp_path


@pytest.fixture
def lab(workspace: Path) -> Iterator[Lab]:
    command = (sys.executable, "-P", str(WORKER))
    # One thread for a worker, as for this process: the number of threads decides the last bits of matrix products.
    # The grace is longer than the test may take: a worker that does not listen is not killed, but found out.
    config = Settings(workspace=workspace, cpu_slots=os.cpu_count(), worker_command=command, kill_grace_s=600)
    with Lab.open(config) as opened:
        yield opened
        for job in opened.engine.list_jobs().items:
            kill_leftovers(marker(job.id, job.attempt))


def until(lab: Lab, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < deadline
        lab.engine.tick()
        time.sleep(0.01)


def begun_up_to(gate: Gate, lab: Lab, workspace: Path) -> tuple[str, Path]:
    """A harvest whose worker waits at the gate, and the folder of its unfinished store."""
    gate.close()
    view = call(lab, "harvest", REQUEST | {"wait_s": 0})
    assert isinstance(view, JobView)
    until(lab, gate.reached)
    return view.job_id, workspace / f".interp-lab/jobs/{view.job_id}/ckpt/store"


def test_a_harvest_whose_worker_is_killed_goes_on_to_the_very_bytes_of_one_that_is_not(
    lab: Lab, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(workspace, BEFORE_A_RECORD)
    job_id, store_folder = begun_up_to(gate, lab, workspace)
    until(lab, lambda: kill_leftovers(marker(job_id, 1)))
    # killed where the third shard has its files and no record yet: the two that have one are kept, and only they
    assert (store_folder / shard_file(ROWS, 2)).is_file()
    assert {path.name for path in store_folder.glob("shard-*.json")} == {record_file(0), record_file(1)}
    kept = {name: (store_folder / name).stat().st_ino for name in (shard_file(ROWS, 0), shard_file(ROWS, 1))}
    decided = (lab.engine.paths.job(job_id) / "ckpt" / "decisions.json").read_bytes()
    gate.open()
    until(lab, lambda: lab.engine.get(job_id).final)
    assert (lab.engine.get(job_id).state, lab.engine.get(job_id).attempt) == ("succeeded", 2)
    (store,) = lab.engine.artifacts_of(job_id)
    assert sum(file.name.startswith("rows-") for file in store.files) > 3
    for name, inode in kept.items():
        assert lab.engine.artifacts.path_of(store.id, name).stat().st_ino == inode

    monkeypatch.setattr(stretches, "BUFFER_BYTES", small_shards_worker.BUFFER_BYTES)
    monkeypatch.setattr(record, "SHARD_BYTES", small_shards_worker.SHARD_BYTES)
    with LocalRun(workspace / "whole", workspace=workspace) as run:
        # the probe times kinds of matrix products, and may find another one faster on a busy machine
        (run.checkpoint_dir / "decisions.json").write_bytes(decided)
        harvest(HarvestRequest.model_validate(REQUEST), run, settings=lab.settings)
        (whole,) = run.written
    expected = {path.name: path.read_bytes() for path in whole.iterdir() if path.name in {f.name for f in store.files}}
    assert expected == {f.name: lab.engine.artifacts.path_of(store.id, f.name).read_bytes() for f in store.files}


@pytest.mark.guarantee("cancelled-publishes-nothing")
def test_a_running_harvest_that_is_cancelled_stops_by_itself_before_the_next_shards(
    lab: Lab, workspace: Path, record_property: Callable[[str, object], None]
) -> None:
    gate = Gate(workspace, BETWEEN_STRETCHES)
    job_id, store_folder = begun_up_to(gate, lab, workspace)
    written = sorted(path.name for path in store_folder.iterdir())
    assert record_file(0) in written
    asked = time.monotonic()
    assert lab.engine.cancel(job_id).state == "running"
    gate.open()
    until(lab, lambda: lab.engine.get(job_id).final)
    record_property("seconds_to_stop", round(time.monotonic() - asked, 3))
    assert lab.engine.get(job_id).state == "cancelled"
    assert lab.engine.artifacts_of(job_id) == ()
    assert sorted(path.name for path in store_folder.glob("shard-*.json")) == [
        name for name in written if name.startswith("shard-")
    ]
