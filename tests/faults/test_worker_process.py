"""What a worker process is: cut off from its server's terminal and secrets, its words in a log of limited size."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.errors import InvalidSetting
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.runner import run_claimed
from tests.faults.rig import drive, finish, settings, settle, spec


def test_a_worker_sees_no_secret_no_terminal_and_works_in_the_workspace(
    engine: JobEngine, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    job = finish(engine, engine.submit(spec("echo", word="héllo")).id)
    result = engine.result(job.id)
    assert result is not None
    assert "hunter2" not in str(result)
    assert (result["values"], result["stdin"], result["cwd"]) == ({"word": "héllo"}, "", str(workspace))
    assert f"echo from {job.id}" in engine.logs(job.id).text


def test_a_job_that_never_stops_talking_keeps_a_log_of_limited_size_with_both_ends(workspace: Path) -> None:
    cap, lines = 200_000, 30_000
    engine = JobEngine(settings(workspace, log_cap_bytes=cap))
    job = finish(engine, engine.submit(spec("shout", lines=lines)).id)
    assert job.state == "succeeded"
    settle(workspace)  # the last cut is made after the job's end
    assert engine.logs(job.id, offset=0, max_bytes=15).text == "line 000000000 "
    end = engine.logs(job.id, max_bytes=96)
    assert end.text == f"line {lines - 1:09d} {'x' * 80}\n"
    assert end.dropped > 0
    assert (engine.paths.job(job.id) / "log.txt").stat().st_size <= cap
    engine.close()


def test_progress_is_shown_even_if_the_step_after_it_takes_long(engine: JobEngine) -> None:
    job = engine.submit(spec("sleepy"))
    seen = drive(
        engine, job.id, until=lambda _: (engine.progress(job.id) or 0) and engine.progress(job.id).message == "asleep"
    )
    assert seen.state == "running"


def test_a_worker_started_by_hand_says_what_it_is() -> None:
    with pytest.raises(InvalidSetting, match="INTERP_LAB_JOB"):
        run_claimed(lambda spec, run: {}, {})
