"""F1: the runner killed at exact points of the engine's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import (
    LONG,
    finish,
    integrity,
    overlapping_attempts,
    read_book,
    settings,
    settle,
    spec,
    wait_for,
    wrong_artifacts,
)

STEPS = 2
SAMPLES = 20


@pytest.mark.guarantee("no-half-artifact")
def test_a_runner_killed_at_any_line_loses_nothing_and_publishes_once(workspace: Path, record: Record) -> None:
    engine = JobEngine(
        settings(workspace, worker="tracing_worker.py", crash_budget=99, start_budget=99, queue_cap=10**6)
    )
    (workspace / "die").mkdir()
    book = workspace / "book"
    whole = engine.submit(spec("count", steps=STEPS, book=str(book), pad=0))
    finish(engine, whole.id)
    lines_file = workspace / "die" / f"{whole.id}.lines"
    wait_for(lambda: lines_file.exists() and lines_file.stat().st_size > 0)
    lines = int(lines_file.read_text())
    points = range(1, lines + 1) if LONG else range(1, lines + 1, max(1, lines // SAMPLES))

    jobs: list[str] = []
    for point in points:
        job = engine.submit(spec("count", steps=STEPS, book=str(book), pad=point))
        (workspace / "die" / job.id).write_text(str(point))
        jobs.append(job.id)
    ended = [finish(engine, job_id) for job_id in jobs]

    settle(workspace)
    record(
        kills=len(jobs),
        jobs_lost=sum(job.state != "succeeded" for job in ended),
        artifacts_corrupt=sum(wrong_artifacts(engine, job_id, STEPS) for job_id in jobs),
        double_runs=overlapping_attempts(read_book(book)),
        lines=lines,
        reruns=sum(job.attempt - 1 for job in ended),
    )
    assert integrity(engine) == "ok"
    assert list(engine.paths.tmp.iterdir()) == []
    assert sum(job.attempt == 2 for job in ended) > len(ended) // 2
    assert len(list(engine.artifacts.ids())) == len(jobs) + 1
    engine.close()
