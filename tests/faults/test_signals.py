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
    HANGS_AFTER_S,
    HELD_AT,
    Gate,
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
    engine, gate = JobEngine(settings(workspace)), Gate(workspace)
    job = engine.submit(spec("count", steps=STEPS, **gate.request))
    drive(engine, job.id, until=lambda _: gate.reached())
    (pid,) = worker_pids(workspace)
    (os.killpg if group else os.kill)(pid, signal.SIGTERM)
    gate.open()
    wait_for(lambda: engine.get(job.id).state == "interrupted", what="the interruption")
    assert engine.get(job.id).crashes == 0
    ended = finish(engine, job.id)
    result = engine.result(job.id)
    assert result is not None
    redone = redone_steps(read_book(gate.book))
    record(interruptions=1, jobs_lost=int(ended.state != "succeeded"), steps_redone=redone)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert (result["first"], redone) == (HELD_AT + 1, 0)
    assert wrong_artifacts(engine, job.id, STEPS) == 0
    engine.close()


def test_a_server_that_gets_sigterm_ends_quickly_and_its_jobs_go_on(workspace: Path, record: Record) -> None:
    config = settings(workspace)
    engine, gate = JobEngine(config), Gate(workspace)
    job = engine.submit(spec("count", steps=STEPS, **gate.request))
    server = start_server(config)
    wait_for(gate.reached, what="the start")
    begun = time.monotonic()
    os.killpg(server.pid, signal.SIGTERM)
    assert server.wait(timeout=HANGS_AFTER_S) == 0
    record(server_exit_s=time.monotonic() - begun)
    assert engine.get(job.id).state == "running"
    gate.open()
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
    engine, gate = JobEngine(settings(workspace, stall_floor_s=0.8)), Gate(workspace)
    job = engine.submit(spec("count", steps=STEPS, **gate.request))
    drive(engine, job.id, until=lambda _: gate.reached())
    (pid,) = worker_pids(workspace)
    runner = psutil.Process(pid)
    runner.suspend()
    gate.open()
    stopped = drive(engine, job.id, until=lambda job: job.stalled)
    assert (stopped.state, stopped.attempt) == ("running", 1)
    runner.resume()
    ended = finish(engine, job.id)
    record(double_runs=overlapping_attempts(read_book(gate.book)), jobs_lost=int(ended.state != "succeeded"))
    assert (ended.state, ended.attempt, ended.stalled) == ("succeeded", 1, False)
    engine.close()


def test_a_server_stopped_between_two_looks_holds_nobody_up(workspace: Path) -> None:
    config = settings(workspace)
    engine, gate = JobEngine(config), Gate(workspace)
    server = start_server(config)
    job = engine.submit(spec("count", steps=STEPS, **gate.request))
    wait_for(gate.reached, what="the start")
    os.kill(server.pid, signal.SIGUSR1)
    wait_for(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, what="the server's standstill")
    other = engine.submit(spec("count", steps=1))
    assert finish(engine, other.id).state == "succeeded"
    gate.open()
    assert finish(engine, job.id).state == "succeeded"
    server.kill()
    server.wait()
    engine.close()
