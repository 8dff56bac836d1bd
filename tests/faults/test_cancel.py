"""F4 and F5: cancellation at any moment, repeated, and of work that does not listen."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import marker
from interp_lab.jobs.processes import marked_processes
from tests.faults.conftest import Record
from tests.faults.rig import LONG, drive, finish, read_book, settings, settle, spec, wait_for

RACES = 200 if LONG else 16


@pytest.mark.guarantee("cancelled-publishes-nothing")
def test_a_cancel_at_any_moment_ends_as_cancelled_or_succeeded_and_never_both(workspace: Path, record: Record) -> None:
    engine = JobEngine(settings(workspace, cpu_slots=2))
    rng = random.Random(4)
    states: list[str] = []
    for number in range(RACES):
        job = engine.submit(spec("count", steps=3, step_s=0.05, pad=number))
        moment = time.monotonic() + rng.uniform(0.0, 1.5)
        while time.monotonic() < moment:
            engine.tick()
        engine.cancel(job.id)
        ended = finish(engine, job.id)
        again = engine.cancel(job.id)
        assert (again.state, again.ended_at) == (ended.state, ended.ended_at)
        assert bool(engine.artifacts_of(job.id)) == (ended.state == "succeeded")
        assert (engine.result(job.id) is not None) == (ended.state == "succeeded")
        states.append(ended.state)
    settle(workspace)
    record(
        cancels=RACES,
        jobs_lost=sum(state not in {"cancelled", "succeeded"} for state in states),
        cancelled=states.count("cancelled"),
    )
    assert len(list(engine.artifacts.ids())) == states.count("succeeded")
    assert list(engine.paths.tmp.iterdir()) == []
    engine.close()


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(engine: JobEngine) -> None:
    job = engine.submit(spec("count", steps=1))
    assert engine.cancel(job.id).state == "cancelled"
    engine.tick()
    assert engine.get(job.id).attempt == 0


@pytest.mark.parametrize("with_server", [True, False])
def test_a_job_that_does_not_listen_is_killed_after_the_grace_and_its_slot_is_free(
    workspace: Path, record: Record, *, with_server: bool
) -> None:
    engine = JobEngine(settings(workspace, kill_grace_s=1.0, cpu_slots=1))
    capability, book = "spin" if with_server else "sleepy", workspace / "book"
    job = engine.submit(spec(capability, book=str(book)))
    drive(engine, job.id, until=lambda _: read_book(book))  # from then on it never asks whether to stop
    begun = time.monotonic()
    engine.cancel(job.id)
    mark = marker(job.id, 1)
    if with_server:
        assert finish(engine, job.id).state == "cancelled"
    else:
        wait_for(lambda: not list(marked_processes(mark)), what="the end of the process by itself")
        wait_for(lambda: engine.get(job.id).state != "running", what="the end in the catalogue")
        assert engine.get(job.id).state == "cancelled"
    took = time.monotonic() - begun
    record(uninterruptible_cancel_s=took)
    assert not list(marked_processes(mark))
    assert took >= 1.0
    following = engine.submit(spec("count", steps=1))
    assert finish(engine, following.id).state == "succeeded"
    engine.close()
