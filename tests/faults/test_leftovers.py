"""F6: what a killed runner leaves behind is found and ended before its slot is used again."""

from __future__ import annotations

from pathlib import Path

import psutil

from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import marker
from interp_lab.jobs.processes import marked_processes
from tests.faults.conftest import Record
from tests.faults.rig import drive, finish, kill, settings, spec, wait_for


def _littered(engine: JobEngine, job_id: str) -> list[int]:
    progress = engine.progress(job_id)
    words = progress.message.split() if progress else []
    return [int(word) for word in words[1:]] if words[:1] == ["littered"] else []


def _gone(pid: int) -> bool:
    """Return whether a process can do nothing any more: one that is ending has no memory, and so no environment."""
    try:
        return not psutil.Process(pid).environ()
    except psutil.NoSuchProcess:
        return True


def test_forked_and_detached_children_die_with_their_runner(workspace: Path, record: Record) -> None:
    engine = JobEngine(settings(workspace, cpu_slots=1, crash_budget=1))
    job = engine.submit(spec("litter", seconds=600))
    following = engine.submit(spec("count", steps=1))
    drive(engine, job.id, until=lambda _: _littered(engine, job.id))
    pids = _littered(engine, job.id)
    assert len(pids) == 3
    kill(pids[0])

    def started() -> bool:
        engine.tick()
        if engine.get(following.id).attempt:
            assert all(_gone(pid) for pid in pids), "the slot was used again before it was clean"
            return True
        return False

    wait_for(started)
    record(kills=1, leftovers=2)
    assert finish(engine, job.id).state == "failed"
    assert not list(marked_processes(marker(job.id, 1)))
    assert finish(engine, following.id).state == "succeeded"
    engine.close()


def test_a_cancelled_job_takes_its_children_along(workspace: Path) -> None:
    engine = JobEngine(settings(workspace, kill_grace_s=0.5))
    job = engine.submit(spec("litter", seconds=600))
    drive(engine, job.id, until=lambda _: _littered(engine, job.id))
    pids = _littered(engine, job.id)
    engine.cancel(job.id)
    assert finish(engine, job.id).state == "cancelled"
    wait_for(lambda: all(_gone(pid) for pid in pids), what="the end of the children")
    engine.close()


def test_children_that_a_finished_job_forgot_do_not_keep_its_slot(workspace: Path) -> None:
    engine = JobEngine(settings(workspace, cpu_slots=1))
    job = finish(engine, engine.submit(spec("litter", seconds=600, forget=True)).id)
    result = engine.result(job.id)
    assert result is not None
    assert finish(engine, engine.submit(spec("count", steps=1)).id).state == "succeeded"
    wait_for(lambda: all(_gone(pid) for pid in result["pids"]), what="the end of the children")
    engine.close()
