"""Tasks in memory, some of which wait for input: a second source beside the durable jobs, as the suite needs them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    InputRequiredResult,
    TextContent,
)

from interp_lab_server.app import LabServer
from interp_lab_server.tasks import TaskState, TaskSupport

_QUESTION = {
    "method": "elicitation/create",
    "params": {
        "message": "Please confirm",
        "requestedSchema": {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]},
    },
}
_NAME = {
    "method": "elicitation/create",
    "params": {
        "message": "What is your name?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
_SUPPORT: Mapping[str, TaskSupport] = {
    "slow_compute": "optional",
    "failing_job": "required",
    "protocol_error_job": "optional",
    "confirm_delete": "optional",
    "multi_input": "optional",
    "test_tool_with_task": "required",
}


def register(server: LabServer) -> None:
    """Add the tools and the source of their tasks to a server."""
    for tool in (slow_compute, failing_job, protocol_error_job, confirm_delete, multi_input, test_tool_with_task):
        server.add_tool(tool, structured_output=False)
    server.tasks.sources.append(MemoryTasks())


async def slow_compute(seconds: float = 0.0, label: str = "") -> str:
    """Sleep, then answer."""
    await asyncio.sleep(seconds)
    return f"Computed {label} in {seconds} s."


async def failing_job() -> CallToolResult:
    """Fail as a tool fails."""
    await asyncio.sleep(0.3)
    return CallToolResult(content=[TextContent(type="text", text="The job failed.")], is_error=True)


async def protocol_error_job() -> str:
    """Fail as a server fails."""
    raise MCPError(INTERNAL_ERROR, "The job met a protocol error.")


async def confirm_delete(filename: str = "") -> str:
    """Delete nothing, after a confirmation that only a task can wait for."""
    return f"{filename} was not deleted."


async def multi_input() -> str:
    """Want two answers that only a task can wait for."""
    return "Nothing was asked."


async def test_tool_with_task() -> str:
    """Ask for a name first, then go on as a task."""
    return "Nothing was asked."


@dataclass(slots=True)
class _Running:
    state: TaskState
    work: asyncio.Task[None] | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryTasks:
    """Tasks that live as long as the process."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Running] = {}

    def support(self, tool: str) -> TaskSupport | None:
        """Return how a fixture tool uses tasks."""
        return _SUPPORT.get(tool)

    async def start(self, params: CallToolRequestParams, ctx: Any) -> TaskState | InputRequiredResult:
        """Return a new task, or a question that comes before it."""
        name = None
        if params.name == "test_tool_with_task":
            answer = (params.input_responses or {}).get("user_name")
            if not isinstance(answer, ElicitResult):
                return InputRequiredResult.model_validate({"inputRequests": {"user_name": _NAME}})
            name = str((answer.content or {}).get("name"))
        now = datetime.now(UTC)
        task = _Running(TaskState(task_id=secrets.token_hex(16), status="working", created_at=now, updated_at=now))
        self._tasks[task.state.task_id] = task
        task.work = asyncio.create_task(self._run(task, self._body(task, params, name)))
        return task.state

    async def get(self, task_id: str) -> TaskState | None:
        """Return a task as it stands."""
        task = self._tasks.get(task_id)
        return None if task is None else task.state

    async def cancel(self, task_id: str) -> None:
        """Stop a task that has not ended."""
        task = self._tasks[task_id]
        if task.state.status in {"working", "input_required"} and task.work:
            task.work.cancel()
            self._set(task, status="cancelled", input_requests={})

    async def answer(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Give a task the answers it waits for; it goes on when it has all of them."""
        task = self._tasks[task_id]
        known = {key: value for key, value in responses.items() if key in task.state.input_requests}
        task.answers |= known
        left = {key: value for key, value in task.state.input_requests.items() if key not in known}
        if known and not left:
            self._set(task, status="working", input_requests={})
            task.answered.set()
        else:
            self._set(task, input_requests=left)

    def _body(self, task: _Running, params: CallToolRequestParams, name: str | None) -> Callable[[], Awaitable[Any]]:
        arguments = params.arguments or {}
        bodies: dict[str, Callable[[], Awaitable[Any]]] = {
            "slow_compute": lambda: slow_compute(**arguments),
            "failing_job": failing_job,
            "protocol_error_job": protocol_error_job,
            "confirm_delete": lambda: self._ask(task, 1),
            "multi_input": lambda: self._ask(task, 2),
            "test_tool_with_task": lambda: _greeting(name),
        }
        return bodies[params.name]

    async def _run(self, task: _Running, body: Callable[[], Awaitable[Any]]) -> None:
        try:
            result = await body()
        except MCPError as error:
            self._set(task, status="failed", error={"code": error.error.code, "message": error.error.message})
            return
        if isinstance(result, str):
            result = CallToolResult(content=[TextContent(type="text", text=result)])
        self._set(task, status="completed", result=result)

    async def _ask(self, task: _Running, count: int) -> str:
        questions = {secrets.token_hex(8): _QUESTION for _ in range(count)}
        self._set(task, status="input_required", input_requests=questions)
        await task.answered.wait()
        return f"{len(task.answers)} answers were given."

    def _set(self, task: _Running, **changes: Any) -> None:
        task.state = replace(task.state, updated_at=datetime.now(UTC), **changes)


async def _greeting(name: str | None) -> str:
    return f"Hello, {name}!"
