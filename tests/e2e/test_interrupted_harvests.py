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
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.e2e import small_shards_worker

WORKER = Path(small_shards_worker.__file__)
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


def until(lab: Lab, condition: Callable[[], object], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        lab.engine.tick()
        time.sleep(0.01)


def begun(lab: Lab, workspace: Path) -> tuple[str, Callable[[], list[Path]]]:
    """A harvest with two finished shards, and what finds its shards."""
    view = call(lab, "harvest", REQUEST | {"wait_s": 0})
    assert isinstance(view, JobView)
    job_id = view.job_id

    def shards() -> list[Path]:
        return sorted(workspace.glob(f".interp-lab/jobs/{job_id}/ckpt/store/rows-*.parquet"))

    until(lab, lambda: len(shards()) >= 2)
    return job_id, shards


def test_a_harvest_whose_worker_is_killed_goes_on_to_the_very_bytes_of_one_that_is_not(
    lab: Lab, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, shards = begun(lab, workspace)
    assert kill_leftovers(marker(job_id, 1))
    kept = {path.name: path.stat().st_ino for path in shards()}
    decided = (lab.engine.paths.job(job_id) / "ckpt" / "decisions.json").read_bytes()
    until(lab, lambda: lab.engine.get(job_id).final)
    assert (lab.engine.get(job_id).state, lab.engine.get(job_id).attempt) == ("succeeded", 2)
    (store,) = lab.engine.artifacts_of(job_id)
    assert len(kept) < sum(file.name.startswith("rows-") for file in store.files)
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
    job_id, shards = begun(lab, workspace)
    written, asked = len(shards()), time.monotonic()
    assert lab.engine.cancel(job_id).state == "running"
    until(lab, lambda: lab.engine.get(job_id).final, within_s=20)
    record_property("seconds_to_stop", round(time.monotonic() - asked, 3))
    assert lab.engine.get(job_id).state == "cancelled"
    assert lab.engine.artifacts_of(job_id) == ()
    assert len(shards()) <= written + 2
