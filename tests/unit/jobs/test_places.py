"""What places ask a cluster for, and what a job of this machine takes, when several processes do the work together."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.places import ray, slurm
from interp_lab.jobs.places.base import Task
from interp_lab.jobs.places.ray import RayPlace
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings
from tests.contract.clusters import slurm_commands


def task(folder: Path, slot: SlotKind, processes: int, nodes: int = 1) -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    return Task(
        name=f"job-{slot}-{processes}", arguments=("--version",), mark="job:1", log=folder / "log.txt", folder=folder,
        slot=slot, processes=processes, nodes=nodes,
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


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine be no cluster that does not answer."""
    monkeypatch.setattr(ray, "_PATIENCE_S", 900.0)
    assert ray._Api("http://head:8265")._patience_s == 900


@pytest.mark.usefixtures("_patient")
def test_ray_is_asked_for_processors_and_accelerators_of_every_process(tmp_path: Path) -> None:
    with jobs_api() as (address, taken):
        place = RayPlace(Settings(workspace=tmp_path, launcher="ray", ray_address=address, task_cpus=2))
        place.start(task(tmp_path / "a", "gpu", 3))
        place.start(task(tmp_path / "b", "cpu", 1))
    assert [(one["entrypoint_num_cpus"], one["entrypoint_num_gpus"]) for one in taken] == [(6, 3), (2, 0)]


def test_a_cluster_that_never_answers_is_said_to_be_silent_instead_of_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = slurm_commands(tmp_path / "slurm")
    (commands / "sbatch").write_text("#!/bin/sh\nexec sleep 3600\n")
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_PATIENCE_S", 1.0)
    settings = Settings(workspace=tmp_path, launcher="slurm", worker_command=(sys.executable,))
    with pytest.raises(ClusterUnavailable, match="sbatch did not answer within 1 s"):
        SlurmPlace(settings).start(task(tmp_path / "a", "cpu", 1))
    (commands / "squeue").write_text("#!/bin/sh\nexec sleep 3600\n")
    assert SlurmPlace(settings).states(["1"]) == {"1": "unknown"}


def test_whoever_asks_whether_a_cluster_answers_does_not_wait_long_for_one_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = slurm_commands(tmp_path / "slurm")
    (commands / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "ANSWER_S", 0.1)
    monkeypatch.setattr(slurm, "_PATIENCE_S", 1e9)
    assert "squeue does not answer" in next(slurm.problems(Settings(workspace=tmp_path, launcher="slurm"))).what
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and says nothing
        monkeypatch.setattr(ray, "ANSWER_S", 0.1)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (found,) = ray.problems(Settings(workspace=tmp_path, launcher="ray", ray_address=address))
    assert "does not answer" in found.what


def test_ray_that_does_not_answer_for_one_task_is_not_asked_about_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(_: object, method: str, path: str, body: object = None) -> dict[str, Any]:
        del method, body
        asked.append(path.rpartition("/")[2])
        if asked[-1] != "a":
            raise TimeoutError
        return {"status": "RUNNING"}

    monkeypatch.setattr(ray._Api, "call", answer)
    place = RayPlace(Settings(workspace=tmp_path, launcher="ray", ray_address="http://head:8265"))
    assert place.states(["a", "b", "c"]) == {"a": "running", "b": "unknown", "c": "unknown"}
    assert asked == ["a", "b"]


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


def test_slurm_is_asked_for_several_nodes_at_once_each_of_which_is_told_which_one_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{slurm_commands(tmp_path / 'slurm')}:{os.environ['PATH']}")
    told = tmp_path / "told.py"
    told.write_text(
        "import os, pathlib; pathlib.Path(os.environ['INTERP_LAB_NODE']).write_text("
        "os.environ['INTERP_LAB_NODE_GROUP'] + ' ' + os.environ['INTERP_LAB_NODE_ADDRESS'])"
    )
    monkeypatch.chdir(tmp_path)
    place = SlurmPlace(Settings(workspace=tmp_path, launcher="slurm", worker_command=(sys.executable, str(told))))
    handle = place.start(task(tmp_path / "a", "gpu", 2, nodes=2))
    asked = (tmp_path / "slurm" / "state" / "1.sh").read_text()
    assert "#SBATCH --nodes=2" in asked
    assert "#SBATCH --ntasks-per-node=1" in asked
    assert "#SBATCH --gpus-per-node=2" in asked
    assert "--kill-on-bad-exit=1" in asked
    while place.states([handle])[handle] != "ended":
        time.sleep(0.05)
    assert [(tmp_path / name).read_text() for name in ("0", "1")] == ["1.0 127.0.0.1"] * 2


@pytest.mark.usefixtures("_patient")
def test_ray_is_asked_for_several_nodes_by_a_program_that_needs_nothing_itself(tmp_path: Path) -> None:
    with jobs_api() as (address, taken):
        place = RayPlace(Settings(workspace=tmp_path, launcher="ray", ray_address=address, task_cpus=2))
        place.start(task(tmp_path / "a", "gpu", 3, nodes=2))
    (asked,) = taken
    assert "entrypoint_num_cpus" not in asked
    assert "interp_lab.jobs.parts.ray_nodes --nodes 2 --cpus 6 --gpus 3 --part" in asked["entrypoint"]
