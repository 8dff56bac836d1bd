"""Durable jobs as tasks: the task id is the job id, so a task outlives its connection, its server and a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mcp.server.context import HandlerResult
from mcp_types import INTERNAL_ERROR, CallToolRequestParams, CallToolResult

from interp_lab.contracts.jobs import JobView
from interp_lab.errors import UnknownJob, WorkerCannotStart, WorkerKilled
from interp_lab_server.answers import view_result
from interp_lab_server.boundary import Boundary, in_thread
from interp_lab_server.progress import message
from interp_lab_server.sanitize import one_line
from interp_lab_server.tasks import RequestContext, TaskState, TaskStatus, TaskSupport, Wire
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.dispatch import callable_view

_ID = re.compile(r"[0-9a-f]{32}")
_LOST = frozenset({WorkerKilled.code, WorkerCannotStart.code})
"""Failures of the machine, not of the tool: JSON-RPC errors of the task."""


class JobTasks:
    """The jobs of a workspace, as a source of tasks."""

    def __init__(self, boundary: Boundary, capabilities: Iterable[object]) -> None:
        self._boundary = boundary
        self._tools = frozenset(c.name for c in capabilities if isinstance(c, JobCapability))

    def support(self, tool: str) -> TaskSupport | None:
        """Return 'optional' for a tool whose work is a job."""
        return "optional" if tool in self._tools else None

    async def start(self, params: CallToolRequestParams, ctx: RequestContext) -> TaskState | HandlerResult:
        """Return the job as a task once it is written down; a refusal, a dry run or a finished job needs no task."""
        del ctx
        started = await self._boundary.start(params.name, params.arguments or {})
        if isinstance(started, CallToolResult):
            return started
        state = await self.get(started.job_id)
        assert state is not None
        return state if state.status == "working" else await self._boundary.finish(params.name, started)

    async def get(self, task_id: str) -> TaskState | None:
        """Return the job of that id as a task."""
        if not _ID.fullmatch(task_id):
            return None
        try:
            return task_state(await in_thread(lambda: callable_view(self._boundary.lab, task_id)))
        except UnknownJob:
            return None

    async def cancel(self, task_id: str) -> None:
        """Ask the job to stop."""
        await in_thread(lambda: self._boundary.lab.engine.cancel(task_id))

    async def answer(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Ignore the input: jobs are told everything before they start."""
        del task_id, responses


def task_state(view: JobView) -> TaskState:
    """Return a job's view as a task."""
    assert view.job_id is not None
    assert view.created_at is not None
    status, error = _status(view)
    ended = status in {"completed", "failed", "cancelled"}
    return TaskState(
        task_id=view.job_id,
        status=status,
        created_at=view.created_at,
        updated_at=view.ended_at or view.started_at or view.created_at,
        message=one_line(view.summary, 200) if ended else message(view.progress),
        result=view_result(view) if status == "completed" else None,
        error=error,
    )


def _status(view: JobView) -> tuple[TaskStatus, Wire | None]:
    if view.state == "succeeded":
        return "completed", None
    if view.state == "cancelled":
        return "cancelled", None
    if view.state != "failed" or view.error is None:
        return "working", None
    if view.error.code not in _LOST:
        return "completed", None
    text = one_line(f"{view.error.code}: {view.error.what} {view.error.remedy}", 1000)
    return "failed", {"code": INTERNAL_ERROR, "message": text}
