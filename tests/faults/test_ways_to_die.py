"""F10 and relatives: a job that ends in any other way than by returning says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import finish, settings, spec


@pytest.mark.parametrize(
    ("how", "code", "words", "attempts"),
    [
        ("kill", "worker_killed", "killed (signal 9), likely out of memory; its peak memory was", 2),
        ("segfault", "worker_killed", "Segmentation fault", 2),
        ("exit", "unexpected_failure", "SystemExit: 7", 1),
        ("memory", "out_of_memory", "more memory", 1),
        ("recursion", "unexpected_failure", "RecursionError", 1),
        ("surrogate", "unexpected_failure", "bad \\ud800 text", 1),
        ("known", "invalid_model", "The model is not one.", 1),
    ],
)
def test_the_recorded_error_names_the_way_the_worker_ended(
    workspace: Path, record: Record, how: str, code: str, words: str, attempts: int
) -> None:
    engine = JobEngine(settings(workspace, crash_budget=2))
    job = finish(engine, engine.submit(spec("crash", how=how)).id)
    assert job.error is not None
    record(kills=job.crashes)
    assert (job.state, job.error.code, job.attempt) == ("failed", code, attempts)
    assert words in job.error.what
    assert job.error.remedy
    assert "last words" in engine.logs(job.id, offset=0).text
    engine.close()


def test_a_worker_that_cannot_start_fails_after_its_budget_and_says_so(workspace: Path) -> None:
    engine = JobEngine(settings(workspace, worker="no_such_worker.py", start_budget=2))
    job = finish(engine, engine.submit(spec("count", steps=1)).id)
    assert job.error is not None
    assert (job.state, job.error.code, job.crashes) == ("failed", "worker_cannot_start", 0)
    assert "no_such_worker.py" in engine.logs(job.id).text
    engine.close()


def test_a_missing_interpreter_fails_the_job_and_not_the_server(workspace: Path) -> None:
    config = settings(workspace, start_budget=2)
    engine = JobEngine(type(config)(workspace=workspace, worker_command=("/no/such/python",), min_free_bytes=0))
    job = finish(engine, engine.submit(spec("count", steps=1)).id)
    assert job.error is not None
    assert job.error.code == "worker_cannot_start"
    assert "could not be started" in engine.logs(job.id).text
    engine.close()
