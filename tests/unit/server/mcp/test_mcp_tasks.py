from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from interp_lab.contracts.jobs import JobFailure, JobProgress, JobState, JobView
from interp_lab.errors import OutOfMemory, WorkerKilled
from interp_lab_server.job_tasks import task_state
from interp_lab_server.tasks import TaskState, detailed

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


def view(state: JobState, error: type[Any] | None = None, **more: Any) -> JobView:
    failure = JobFailure(code=error.code, what="w", remedy="r") if error else None
    return JobView(
        summary="A line.", capability="inspect", state=state, job_id="b" * 32, created_at=NOW, error=failure, **more
    )


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (view("queued"), "working"),
        (view("starting"), "working"),
        (view("running"), "working"),
        (view("interrupted"), "working"),
        (view("succeeded"), "completed"),
        (view("cancelled"), "cancelled"),
        (view("failed", OutOfMemory), "completed"),
        (view("failed", WorkerKilled), "failed"),
    ],
)
def test_every_state_of_a_job_is_one_status_of_its_task(job: JobView, status: str) -> None:
    state = task_state(job)
    assert state.status == status
    assert state.task_id == job.job_id


def test_a_tool_that_failed_completes_with_an_error_and_a_lost_worker_fails_the_task() -> None:
    tool = detailed(task_state(view("failed", OutOfMemory)))
    lost = detailed(task_state(view("failed", WorkerKilled)))
    assert tool["result"]["isError"]
    assert "error" not in tool
    assert lost["error"]["code"] == -32603
    assert "worker_killed" in lost["error"]["message"]
    assert "result" not in lost


def test_a_task_on_the_wire_carries_what_its_status_needs_and_nothing_else() -> None:
    progress = JobProgress(done=1, total=4, message="ranking")
    working = detailed(task_state(view("running", progress=progress, started_at=NOW)))
    assert working == {
        "taskId": "b" * 32,
        "status": "working",
        "createdAt": "2026-01-02T03:04:05.678Z",
        "lastUpdatedAt": "2026-01-02T03:04:05.678Z",
        "ttlMs": None,
        "pollIntervalMs": 1000,
        "statusMessage": "ranking: 1/4",
    }


def test_a_task_that_waits_for_input_shows_what_it_waits_for() -> None:
    asked = {"k1": {"method": "elicitation/create", "params": {}}}
    state = TaskState(task_id="t", status="input_required", created_at=NOW, updated_at=NOW, input_requests=asked)
    assert detailed(state)["inputRequests"] == asked
