"""F2: servers and runners killed without warning, at random, while jobs are submitted."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import (
    LONG,
    integrity,
    kill,
    most_at_once,
    overlapping_attempts,
    read_book,
    redone_steps,
    servers,
    settings,
    spec,
    start_server,
    wait_for,
    worker_pids,
    wrong_artifacts,
)

KILLS = 3000 if LONG else 100
STEPS = 5
SLOTS = 3
BACKLOG = 8
UNFINISHED = ("queued", "starting", "running", "interrupted")


@pytest.mark.guarantee("no-job-lost")
@pytest.mark.guarantee("no-double-run")
def test_no_kill_of_a_server_or_a_runner_loses_or_doubles_work(workspace: Path, record: Record) -> None:
    config = settings(workspace, cpu_slots=SLOTS, crash_budget=10**6, start_budget=10**6, queue_cap=10**6)
    book, rng = workspace / "book", random.Random(2)
    engine = JobEngine(config)
    accepted: list[str] = []
    killed = {"runner": 0, "server": 0}
    with servers(config, 3) as running:
        while sum(killed.values()) < KILLS:
            if len(engine.list_jobs(states=UNFINISHED, limit=BACKLOG).items) < BACKLOG:
                request = spec("count", steps=STEPS, step_s=0.03, book=str(book), pad=len(accepted))
                accepted.append(engine.submit(request).id)
            time.sleep(rng.uniform(0.0, 0.25))
            if rng.random() < 0.35:
                victim = rng.randrange(len(running))
                killed["server"] += kill(running[victim].pid)
                running[victim].wait()
                running[victim] = start_server(config)
            elif runners := worker_pids(workspace):
                killed["runner"] += kill(rng.choice(runners))
        wait_for(lambda: all(engine.get(job_id).final for job_id in accepted), what="the end of all jobs")
    ended = [engine.get(job_id) for job_id in accepted]
    lines = read_book(book)
    record(
        kills=KILLS,
        server_kills=killed["server"],
        jobs=len(accepted),
        jobs_lost=sum(job.state != "succeeded" for job in ended),
        artifacts_corrupt=sum(wrong_artifacts(engine, job_id, STEPS) for job_id in accepted),
        double_runs=overlapping_attempts(lines),
        steps_redone=redone_steps(lines),
    )
    assert integrity(engine) == "ok"
    assert most_at_once(lines) <= SLOTS
    assert redone_steps(lines) <= killed["runner"]
    engine.close()
