"""A harvest on a Ray cluster of two nodes, one of which is killed in the middle: the bytes of one process here."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.jobs import JobView
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.contract.clusters import ray_cluster
from tests.e2e import holding_worker, small_shards_worker
from tests.e2e.waiting import until

REQUEST = {"model": "builtin:pocket-llama", "dataset": "corpus.txt", "addresses": ["resid_post.5"], "shards": 2}


@pytest.mark.ray
def test_a_harvest_one_of_whose_nodes_is_killed_ends_with_the_bytes_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(0)
    told = "the men went down to town and came home before night fell by water"
    words = told.split()
    texts = [" ".join(draw.choices(words, k=150)) for _ in range(40)]
    (tmp_path / "corpus.txt").write_text("\n\n".join(texts))
    (tmp_path / "hold").touch()
    command = (sys.executable, str(holding_worker.__file__))
    with ray_cluster() as cluster:
        settings = Settings(workspace=tmp_path, worker_command=command, launcher="ray", ray_address=cluster.address)
        with Lab.open(settings) as lab:
            view = call(lab, "harvest", REQUEST | {"wait_s": 0})
            assert isinstance(view, JobView)
            assert view.job_id is not None
            job_id = view.job_id
            folder = lab.engine.paths.job(job_id) / "parts"
            shards = [PartFolder(folder, PartName(0, index)) for index in (0, 1)]
            until(lab, job_id, lambda: all(list(s.checkpoint.glob("store/rows-*.parquet")) for s in shards))
            cluster.kill_second_node()
            (tmp_path / "hold").unlink()
            until(lab, job_id, lambda: lab.engine.get(job_id).final)
            assert lab.engine.get(job_id).state == "succeeded", lab.engine.logs(job_id).text
            assert sorted(shard.read_start().deaths for shard in shards) == [0, 1]
            (store,) = lab.engine.artifacts_of(job_id)
            assert lab.engine.artifacts.verify(store.id).ok
            decided = (lab.engine.paths.job(job_id) / "ckpt" / "decisions.json").read_bytes()
            found = {file.name: lab.engine.artifacts.path_of(store.id, file.name).read_bytes() for file in store.files}

    monkeypatch.setattr(stretches, "BUFFER_BYTES", small_shards_worker.BUFFER_BYTES)
    monkeypatch.setattr(record, "SHARD_BYTES", small_shards_worker.SHARD_BYTES)
    with LocalRun(tmp_path / "whole", workspace=tmp_path) as run:
        # which of two equally exact ways is faster was timed by the lead; on a busy machine this process might differ
        (run.checkpoint_dir / "decisions.json").write_bytes(decided)
        harvest(HarvestRequest.model_validate(REQUEST), run, settings=settings)
        (whole,) = run.written
    assert found == {path.name: path.read_bytes() for path in whole.iterdir() if path.name != "manifest.json"}
