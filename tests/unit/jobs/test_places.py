"""What places ask a cluster for, and what a job of this machine takes, when several processes do the work together."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from interp_lab.artifacts.locks import try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.places.base import Task
from interp_lab.jobs.places.local import accelerators
from interp_lab.jobs.places.ray import RayPlace
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import ALL_GPUS, Settings
from tests.contract.clusters import slurm_commands


def task(folder: Path, slot: SlotKind, processes: int) -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    return Task(
        name=f"job-{slot}-{processes}", arguments=("--version",), mark="job:1", log=folder / "log.txt", folder=folder,
        slot=slot, processes=processes,
    )  # fmt: skip


@contextmanager
def jobs_api() -> Generator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes jobs as Ray does and keeps what it was sent."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the signature is not ours
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_ray_is_asked_for_processors_and_accelerators_of_every_process(tmp_path: Path) -> None:
    with jobs_api() as (address, taken):
        place = RayPlace(Settings(workspace=tmp_path, launcher="ray", ray_address=address, task_cpus=2))
        place.start(task(tmp_path / "a", "gpu", 3))
        place.start(task(tmp_path / "b", "cpu", 1))
    assert [(one["entrypoint_num_cpus"], one["entrypoint_num_gpus"]) for one in taken] == [(6, 3), (2, 0)]


def test_slurm_is_asked_for_processors_and_accelerators_of_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{slurm_commands(tmp_path / 'slurm')}:{os.environ['PATH']}")
    command = (sys.executable,)
    place = SlurmPlace(Settings(workspace=tmp_path, launcher="slurm", worker_command=command, task_cpus=2))
    place.start(task(tmp_path / "a", "gpu", 3))
    asked = (tmp_path / "slurm" / "state" / "1.sh").read_text()
    assert "#SBATCH --cpus-per-task=6" in asked
    assert "#SBATCH --gpus-per-node=3" in asked


def test_ranks_of_this_machine_take_further_accelerators_and_give_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALL_GPUS, "4,5,6")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    settings = Settings(workspace=tmp_path, gpu_slots=3, silence_s=1)
    paths = WorkspacePaths.of(settings)
    paths.slot("gpu-0").parent.mkdir(parents=True)
    with LocalRun(tmp_path / "run") as run:
        with accelerators(run, settings, paths, slot="gpu-1", n=2):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,4"
            assert try_lock(paths.slot("gpu-0")) is None
            refused = accelerators(run, settings, paths, slot="gpu-2", n=3)
            with pytest.raises(ClusterUnavailable, match="2 of 3"), refused:
                pass
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
        with accelerators(run, settings, paths, slot="cpu-0", n=2):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    again = try_lock(paths.slot("gpu-0"))
    assert again is not None
    again.close()


def test_of_two_jobs_that_wait_for_each_others_accelerator_one_gives_up_and_the_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALL_GPUS, "4,5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = Settings(workspace=tmp_path, gpu_slots=2, silence_s=2)
    paths = WorkspacePaths.of(settings)
    paths.slot("gpu-0").parent.mkdir(parents=True)
    ended: dict[str, str] = {}
    both = threading.Barrier(2)

    def work(slot: str) -> None:
        own = try_lock(paths.slot(slot))
        assert own is not None
        both.wait()
        with closing(own), LocalRun(tmp_path / slot) as run:
            try:
                with accelerators(run, settings, paths, slot=slot, n=2):
                    ended[slot] = os.environ["CUDA_VISIBLE_DEVICES"]
            except ClusterUnavailable as error:
                ended[slot] = error.code

    threads = [threading.Thread(target=work, args=(slot,)) for slot in ("gpu-0", "gpu-1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == {"gpu-0": "cluster_unavailable", "gpu-1": "5,4"}
