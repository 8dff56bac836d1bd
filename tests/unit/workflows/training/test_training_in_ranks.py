# pyright: standard
"""A job whose dictionaries are trained by two processes, on one machine or two: one dies, and nothing changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.engine import precision
from interp_lab.errors import InvalidRequest, WorkerKilled
from interp_lab.jobs import rankrun
from interp_lab.jobs.gang import Gang
from interp_lab.jobs.rankrun import OWNER, RankRun, rank_folder
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.settings import Settings
from interp_lab.workflows import train_together
from interp_lab.workflows.train_sae import train_sae
from interp_lab.workflows.training import ranks
from tests.contract.clusters import slurm_commands
from tests.e2e.two_machines import trained_on_two
from tests.unit.workflows.training import gated_ranks

ASKED: dict[str, Any] = {
    "source": "store",
    "addresses": ["resid_post.0"],
    "widths": [32],
    "sparsities": [3],
    "ranks": 2,
    "evaluations": 2,
    "training": {"total_tokens": 12_800, "batch_tokens": 256, "select": "fp32"},
}


class Disturbed(LocalRun):
    """A run to which something happens once its processes are at work."""

    def __init__(self, output: Path, workspace: Path, happens: Callable[[], None]) -> None:
        super().__init__(output, workspace=workspace)
        self._happens = happens
        self.steps: list[int] = []

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        super().progress(done, total, message, unit)
        if message.startswith("step ") and (not self.steps or int(done) < self.steps[-1]):
            self.steps.append(int(done))
            if len(self.steps) == 1:
                self._happens()


def weights(output: Path) -> dict[str, torch.Tensor]:
    (folder,) = output.glob("dictionary-*")
    return load_file(folder / "sae_weights.safetensors")


def trained(
    output: Path, settings: Settings, asked: dict[str, Any], happens: Callable[[], None] = lambda: None
) -> None:
    with Disturbed(output, settings.workspace, happens) as run:
        train_sae(TrainSaeRequest.model_validate(asked), run, settings=settings, suggest=lambda _: ())


def torchrun(workspace: Path, asked: dict[str, Any]) -> None:
    """Train by the command, outside any job."""
    (workspace / "request.json").write_text(json.dumps(asked))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", gated_ranks.__name__, str(workspace / "request.json")),
        *("--workspace", str(workspace), "--output", str(workspace / "command")),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "INTERP_LAB_WORKSPACE": str(workspace)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def kill_a_rank() -> None:
    """Kill the second of the processes that work for this one."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and (pid := int(place.name)) != os.getpid():
            try:
                variables = (place / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"{OWNER}={os.getpid()}".encode() in variables and b"RANK=1" in variables:
                os.kill(pid, signal.SIGKILL)
                return
    raise AssertionError("no second process is at work")


def can_act(pid: int) -> bool:
    """Return whether a process can still do something: one that is ending has no memory, and so no environment."""
    try:
        return bool(psutil.Process(pid).environ())
    except psutil.NoSuchProcess:
        return False


def interrupt() -> None:
    raise InterruptedJob


def test_two_ranks_one_of_which_is_killed_on_one_machine_or_two_give_the_bytes_of_the_command_and_nearly_those_of_one(
    tmp_path: Path, make_store: Callable[..., Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store()
    torchrun(tmp_path, ASKED)
    monkeypatch.setenv("PATH", f"{slurm_commands(tmp_path / 'slurm')}:{os.environ['PATH']}")
    two_machines = load_file(trained_on_two(tmp_path, ASKED, launcher="slurm"))
    monkeypatch.setattr(precision, "probe_matmul", gated_ranks.one_way)
    monkeypatch.setattr(ranks, "_MODULE", gated_ranks.__name__)
    patient, gate = replace(settings, kill_grace_s=3600), tmp_path / gated_ranks.GATE
    gate.touch()
    with pytest.raises(InterruptedJob):
        trained(tmp_path / "job", patient, ASKED, interrupt)
    assert list((tmp_path / "job" / "ckpt").glob("*/state.json")), "what was done when the job was interrupted is kept"

    def break_the_group() -> None:
        kill_a_rank()
        gate.unlink()

    trained(tmp_path / "job", patient, ASKED, break_the_group)
    assert not gate.exists()
    command, job = weights(tmp_path / "command"), weights(tmp_path / "job")
    for name, tensor in command.items():
        assert torch.equal(job[name], tensor)
        assert torch.equal(two_machines[name], tensor)

    trained(tmp_path / "one", settings, ASKED | {"ranks": 1})
    one = weights(tmp_path / "one")
    for name, tensor in one.items():
        torch.testing.assert_close(job[name], tensor, atol=2e-4, rtol=2e-3)
    trained(tmp_path / "other", settings, ASKED | {"ranks": 1, "seed": 1})
    assert not torch.allclose(weights(tmp_path / "other")["W_enc"], one["W_enc"], atol=2e-4, rtol=2e-3)


def test_processes_that_break_every_time_are_given_up(tmp_path: Path) -> None:
    gang = Gang(module="interp_lab.no_such_module", arguments=(), n=1, crash_budget=1, grace_s=1)
    with LocalRun(tmp_path / "run") as run, pytest.raises(WorkerKilled, match="broke 1 times"):
        gang.work(run)


def test_a_group_that_broke_is_gone_before_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stays = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    breaks = (
        "import pathlib, subprocess, sys; "
        "left = subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True); "
        "pathlib.Path(sys.argv[2]).write_text(str(left.pid)); sys.exit(1)"
    )
    started: list[Path] = []
    met: list[int] = []

    def start(gang: Gang, node: object, place: object) -> subprocess.Popen[bytes]:
        met.extend(int(rank.read_text()) for rank in started if can_act(int(rank.read_text())))
        started.append(tmp_path / f"rank-{len(started)}")
        command = [sys.executable, "-c", breaks, stays, str(started[-1])]
        return subprocess.Popen(command, env=os.environ | {OWNER: str(os.getpid())}, start_new_session=True)

    monkeypatch.setattr(Gang, "_start", start)
    gang = Gang(module="", arguments=(), n=1, crash_budget=2, grace_s=1)
    with LocalRun(tmp_path / "run") as run, pytest.raises(WorkerKilled, match="broke 2 times"):
        gang.work(run)
    assert len(started) == 2
    assert met == []
    assert not [rank for rank in started if can_act(int(rank.read_text()))]


def test_ranks_take_an_accelerator_each_and_nccl_or_processors_and_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train_together.own_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert train_together.own_device() == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidRequest, match="1 accelerators for more ranks"):
        train_together.own_device()
    assert [train_together.backend_of(kind) for kind in ("cuda", "cpu")] == ["nccl", "gloo"]


@pytest.mark.parametrize(("accelerators", "backend"), [(True, "nccl"), (False, "gloo")])
def test_a_group_is_joined_as_its_devices_need(
    monkeypatch: pytest.MonkeyPatch, accelerators: bool, backend: str
) -> None:
    class Joined(Exception):
        """Who joins is seen; nothing more is wanted."""

    def join(kind: str) -> None:
        raise Joined(kind)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: accelerators)
    monkeypatch.setattr(train_together.distributed, "init_process_group", join)
    monkeypatch.setattr(sys, "argv", ["train_together", "request.json", "--output", "out"])
    with pytest.raises(Joined, match=backend):
        train_together.main()


def test_a_rank_that_is_out_of_memory_says_so_and_is_not_tried_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(train_together.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(train_together, "open_stored", too_large)
    monkeypatch.setattr(RankRun, "listen", lambda _: None)
    rank_folder(tmp_path).prepare()
    assert not train_together.train_for_job(TrainSaeRequest.model_validate(ASKED), tmp_path, settings)
    failure = rank_folder(tmp_path).read_failure()
    assert failure is not None
    assert failure.code == "out_of_memory"


def test_a_dead_owner_that_nobody_collects_lives_no_more() -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert rankrun.lives(owner.pid)
    owner.kill()
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
    assert not rankrun.lives(owner.pid), "it is dead, and still in the table of processes"
    owner.communicate()
    assert not rankrun.lives(owner.pid)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": {"kind": "stream", "model": "builtin:pocket-llama", "dataset": "builtin:person-name"}}, "a store"),
        ({"ranks": 3}, "256 tokens of a batch cannot be shared by 3 ranks"),
        ({"ranks": 2, "nodes": 4}, "2 ranks cannot be spread evenly over 4 nodes"),
    ],
)
def test_ranks_that_cannot_share_the_work_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainSaeRequest.model_validate(ASKED | changes)
