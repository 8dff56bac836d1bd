"""F13 and F14: jumping clocks, and requests sent again because their answer was lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import HERE, Gate, drive, finish, read_book, settings, spec, wait_for
from tests.unit.jobs.fakes import FakeClock

KILLS = 12


def test_clock_jumps_neither_requeue_nor_expire_nor_reorder_anything(workspace: Path, record: Record) -> None:
    clock = FakeClock()
    engine = JobEngine(settings(workspace, cpu_slots=1), clock=clock)
    gate = Gate(workspace)
    jobs = []
    for number, days in enumerate((0, -1, 1, 1, -2)):
        clock.jump(days=days)
        jobs.append(engine.submit(spec("count", steps=3, pad=number, **gate.request)).id)
    drive(engine, jobs[0], until=lambda _: gate.reached())
    for days in (-1, 1, 1, -1):
        clock.jump(days=days, hours=1)
        engine.tick()
        engine.sweep()
        assert (engine.get(jobs[0]).state, engine.get(jobs[0]).attempt) == ("running", 1)
    gate.open()
    ended = [finish(engine, job_id) for job_id in jobs]
    record(clock_jumps=9, jobs_lost=sum(job.state != "succeeded" for job in ended))
    assert [job.attempt for job in ended] == [1] * len(jobs)
    order = [line.job for line in read_book(gate.book) if line.word == "begin"]
    assert order == jobs
    assert all(job.duration_s is not None and 0 <= job.duration_s < 3600 for job in ended)
    engine.close()


def test_a_request_sent_again_after_its_client_was_killed_is_one_job(workspace: Path, record: Record) -> None:
    engine = JobEngine(settings(workspace, cpu_slots=2))
    for number in range(KILLS):
        command = [sys.executable, "-P", str(HERE / "submitting.py"), f"key-{number}", str(number)]
        environment = os.environ | engine.settings.to_env()
        first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        assert first.stdout is not None
        first.stdout.readline()  # it is about to submit
        os.kill(first.pid, signal.SIGKILL) if number % 2 else first.stdout.close()
        first.wait()
        first.stdout.close()
        job = engine.submit(spec("count", steps=1, pad=number), request_key=f"key-{number}")
        assert job.id == engine.submit(spec("count", steps=1, pad=number), request_key=f"key-{number}").id
    jobs = engine.list_jobs(limit=1000).items
    wait_for(lambda: engine.tick() or all(engine.get(job.id).final for job in jobs), what="the end of all jobs")
    ended = [engine.get(job.id) for job in jobs]
    record(
        kills=KILLS // 2,
        double_runs=len(jobs) - KILLS,
        jobs_lost=sum(job.state != "succeeded" for job in ended),
    )
    engine.close()
