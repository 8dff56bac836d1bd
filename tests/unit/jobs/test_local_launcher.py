"""Processes of this machine: how one ended is known to the server that started it for as long as it is asked."""

from __future__ import annotations

import time
from pathlib import Path

from interp_lab.artifacts.locks import try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Claim, LocalLauncher
from interp_lab.jobs.ledger import Attempt
from tests.unit.jobs.fakes import settings


def test_how_a_process_ended_is_told_as_often_as_it_is_asked(tmp_path: Path) -> None:
    config = settings(tmp_path, worker_command=("/bin/sh", "-c", "exit 7"))
    paths, attempt = WorkspacePaths.of(config), Attempt("0" * 32, 1)
    paths.prepare()
    JobFolder(paths, attempt.job_id).path.mkdir()
    launcher = LocalLauncher(config, paths)
    run, slot = try_lock(paths.run_lock(attempt.job_id)), try_lock(paths.slot("cpu-0"))
    assert run is not None
    assert slot is not None
    with run, slot:
        launcher.submit(Claim(attempt, run, {"cpu-0": slot}))
    deadline = time.monotonic() + 600
    while launcher.poll([attempt])[attempt].liveness == "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told = [launcher.poll([attempt])[attempt] for _ in range(2)]
    assert [life.liveness for life in told] == ["gone", "gone"]
    assert [life.exit.status if life.exit else None for life in told] == [7, 7]
