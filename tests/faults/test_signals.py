"""F11 and F12: SIGTERM without a cancel is an interruption; a stopped process is not a dead one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import (
    drive,
    finish,
    overlapping_attempts,
    read_book,
    redone_steps,
    settings,
    spec,
    start_server,
    wait_for,
    worker_pids,
    wrong_artifacts,
)

STEPS = 8


@pytest.mark.parametrize("group", [True, False])
def test_a_runner_that_gets_a_bare_sigterm_is_interrupted_and_goes_on_from_its_checkpoint(
    workspace: Path, record: Record, *, group: bool
) -> None:
    engine = JobEngine(settings(workspace))
    book = workspace / "book"
    job = engine.submit(spec("count", steps=STEPS, step_s=0.1, book=str(book)))
    drive(engine, job.id, until=lambda _: any(line.step >= 2 for line in read_book(book)))
    pid = worker_pids(workspace)[0]
    (os.killpg if group else os.kill)(pid, signal.SIGTERM)
    wait_for(lambda: engine.get(job.id).state == "interrupted", what="the interruption")
    assert engine.get(job.id).crashes == 0
    ended = finish(engine, job.id)
    result = engine.result(job.id)
    assert result is not None
    record(interruptions=1, jobs_lost=int(ended.state != "succeeded"), steps_redone=redone_steps(read_book(book)))
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert result["first"] >= 2
    assert redone_steps(read_book(book)) <= 1
    assert wrong_artifacts(engine, job.id, STEPS) == 0
    engine.close()


def test_a_server_that_gets_sigterm_ends_quickly_and_its_jobs_go_on(workspace: Path, record: Record) -> None:
    config = settings(workspace)
    engine = JobEngine(config)
    job = engine.submit(spec("count", steps=STEPS, step_s=0.1))
    server = start_server(config)
    wait_for(lambda: engine.get(job.id).state == "running", what="the start")
    begun = time.monotonic()
    os.killpg(server.pid, signal.SIGTERM)
    assert server.wait(timeout=10) == 0
    record(server_exit_s=time.monotonic() - begun)
    wait_for(lambda: engine.get(job.id).final, what="the end of the job with no server")
    assert (engine.get(job.id).state, engine.get(job.id).attempt) == ("succeeded", 1)
    engine.close()


def test_the_queue_drains_with_no_server_alive(workspace: Path) -> None:
    engine = JobEngine(settings(workspace, cpu_slots=1))
    jobs = [engine.submit(spec("count", steps=1, pad=number)).id for number in range(4)]
    engine.tick()
    wait_for(lambda: all(engine.get(job_id).final for job_id in jobs), what="the end of the queue without another tick")
    assert {engine.get(job_id).state for job_id in jobs} == {"succeeded"}
    engine.close()


def test_a_stopped_runner_is_reported_as_stalled_not_replaced_and_goes_on(workspace: Path, record: Record) -> None:
    engine = JobEngine(settings(workspace, stall_floor_s=0.8))
    book = workspace / "book"
    job = engine.submit(spec("count", steps=STEPS, step_s=0.1, book=str(book)))
    drive(engine, job.id, until=lambda _: any(line.step >= 1 for line in read_book(book)))
    runner = psutil.Process(worker_pids(workspace)[0])
    runner.suspend()
    stopped = drive(engine, job.id, until=lambda job: job.stalled)
    assert (stopped.state, stopped.attempt) == ("running", 1)
    runner.resume()
    ended = finish(engine, job.id)
    record(double_runs=overlapping_attempts(read_book(book)), jobs_lost=int(ended.state != "succeeded"))
    assert (ended.state, ended.attempt, ended.stalled) == ("succeeded", 1, False)
    engine.close()


def test_a_stopped_server_holds_nobody_up(workspace: Path) -> None:
    config = settings(workspace)
    engine = JobEngine(config)
    server = start_server(config)
    job = engine.submit(spec("count", steps=STEPS, step_s=0.1))
    wait_for(lambda: engine.get(job.id).state == "running", what="the start")
    os.kill(server.pid, signal.SIGSTOP)
    other = engine.submit(spec("count", steps=1))
    assert finish(engine, other.id).state == "succeeded"
    assert finish(engine, job.id).state == "succeeded"
    server.kill()
    server.wait()
    engine.close()
