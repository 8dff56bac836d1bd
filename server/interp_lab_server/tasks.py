"""The Tasks extension: a call that would take long returns a task, which is the job itself under the same id.

This module owns the protocol: negotiation, the shapes on the wire, routing headers. What a task is comes from
a TaskSource; `job_tasks` serves the durable jobs, and any other source may also ask its client for input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

IDENTIFIER = "io.modelcontextprotocol/tasks"
POLL_INTERVAL_MS = 1000

TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]
TaskSupport = Literal["optional", "required"]
RequestContext = ServerRequestContext[Any, Any]
Wire = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task as it stands."""

    task_id: str
    status: TaskStatus
    created_at: datetime
    updated_at: datetime
    message: str = ""
    result: CallToolResult | None = None
    """Present when completed."""
    error: Wire | None = None
    """JSON-RPC error, present when failed."""
    input_requests: Mapping[str, Wire] = field(default_factory=dict[str, Wire])
    """What the task waits to be told, by an id of the server's making."""


class TaskSource(Protocol):
    """Where tasks come from."""

    def support(self, tool: str) -> TaskSupport | None:
        """Return how a tool uses tasks; None when it does not, or is not of this source."""
        ...

    async def start(self, params: CallToolRequestParams, ctx: RequestContext) -> TaskState | HandlerResult:
        """Return the task, durably created, or the answer to a call that needs none."""
        ...

    async def get(self, task_id: str) -> TaskState | None:
        """Return the task, or None if it is not of this source."""
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask a task to stop; nothing happens to one that has ended."""
        ...

    async def answer(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Deliver input; ids that nothing waits for are ignored."""
        ...


class TaskParams(RequestParams):
    """Parameters of tasks/get and tasks/cancel."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Parameters of tasks/update."""

    input_responses: dict[str, Any] = Field(default_factory=dict[str, Any])


class TasksExtension(Extension):
    """The protocol of tasks over any number of sources."""

    identifier = IDENTIFIER

    def __init__(self, sources: Sequence[TaskSource]) -> None:
        self.sources = list(sources)

    def methods(self) -> Sequence[MethodBinding]:
        """Return the request methods this extension serves, to modern clients only."""
        served = (
            ("tasks/get", TaskParams, self._get),
            ("tasks/cancel", TaskParams, self._cancel),
            ("tasks/update", TaskUpdateParams, self._update),
        )
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [MethodBinding(name, params, handler, modern) for name, params, handler in served]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: RequestContext, call_next: CallNext
    ) -> HandlerResult:
        """Return a task instead of a result where the tool has them and the client of this request can follow one."""
        source = next((source for source in self.sources if source.support(params.name)), None)
        if source is None:
            return await call_next(ctx)
        if not _declared(ctx):
            if source.support(params.name) == "required":
                require_client_extension(ctx, IDENTIFIER)
            return await call_next(ctx)
        started = await source.start(params, ctx)
        return {"resultType": "task", **_head(started)} if isinstance(started, TaskState) else started

    async def _get(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        _, state = await self._find(ctx, params)
        return detailed(state)

    async def _cancel(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        source, _ = await self._find(ctx, params)
        await source.cancel(params.task_id)
        return {}

    async def _update(self, ctx: RequestContext, params: TaskUpdateParams) -> HandlerResult:
        source, _ = await self._find(ctx, params)
        await source.answer(params.task_id, params.input_responses)
        return {}

    async def _find(self, ctx: RequestContext, params: TaskParams) -> tuple[TaskSource, TaskState]:
        require_client_extension(ctx, IDENTIFIER)
        _check_routing(ctx, params.task_id)
        for source in self.sources:
            if state := await source.get(params.task_id):
                return source, state
        raise MCPError(INVALID_PARAMS, "There is no task of that id; call lab_overview for recent jobs.")


def detailed(state: TaskState) -> Wire:
    """Return the task with what its status says it must carry, and nothing else."""
    body = _head(state)
    if state.status == "completed" and state.result is not None:
        body["result"] = state.result.model_dump(by_alias=True, mode="json", exclude_none=True)
    elif state.status == "failed":
        body["error"] = state.error
    elif state.status == "input_required":
        body["inputRequests"] = dict(state.input_requests)
    return body


def _head(state: TaskState) -> Wire:
    body: Wire = {
        "taskId": state.task_id,
        "status": state.status,
        "createdAt": _stamp(state.created_at),
        "lastUpdatedAt": _stamp(state.updated_at),
        "ttlMs": None,
        "pollIntervalMs": POLL_INTERVAL_MS,
    }
    return {**body, "statusMessage": state.message} if state.message else body


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _declared(ctx: RequestContext) -> bool:
    capabilities = ctx.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and IDENTIFIER in (extensions or {})


def _check_routing(ctx: RequestContext, task_id: str) -> None:
    """Refuse a request whose routing header names another task than its body."""
    named = getattr(ctx.request, "headers", {}).get("mcp-name")
    if named is not None and named.strip() != task_id:
        raise MCPError(HEADER_MISMATCH, "The Mcp-Name header does not equal params.taskId.")
