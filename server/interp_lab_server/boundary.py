"""Where a call from outside meets the lab: whatever a capability does, even exit, comes out as a tool result.

Submission runs in a thread that a cancelled call does not abandon: a client that goes away leaves one job or none.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult

from interp_lab.errors import LabError
from interp_lab_server.answers import answer_result, error_result, internal_error_result, view_result
from interp_lab_server.progress import ProgressReport
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.dispatch import Pending, dispatch
from interp_lab_tools.lab import Lab
from interp_lab_tools.mending import mending

POLL_FIRST_S = 0.1
POLL_MAX_S = 1.0

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


class Dispatch(Protocol):
    """The one way into the lab, or a stand-in for it."""

    def __call__(self, lab: Lab, name: str, arguments: Mapping[str, Any], /) -> Any:
        """Return a Result or a Pending."""
        ...


async def in_thread(work: Callable[[], _Value]) -> _Value:
    """Return what blocking work returns; a caller that is cancelled waits for it all the same."""
    return await anyio.to_thread.run_sync(work)


class Boundary:
    """Calls of one lab, each answered by a tool result whatever happens inside."""

    def __init__(self, lab: Lab, enter: Dispatch = dispatch) -> None:
        self.lab = lab
        self._enter = enter

    async def start(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult | Pending:
        """Return the result of a call that is answered at once, or the wait for its job."""
        answer = await in_thread(lambda: caught(lambda: self._entered(name, arguments)))
        return answer if isinstance(answer, CallToolResult | Pending) else answer_result(answer)

    def _entered(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Return what the lab answers; a refusal comes with the calls that would put it right."""
        try:
            return self._enter(self.lab, name, arguments)
        except LabError as error:
            return error_result(error, mending(error.code, name, arguments, self.lab, error=error))

    async def finish(self, name: str, pending: Pending) -> CallToolResult:
        """Return the job as it stands now, as the result of the call that named it."""
        starts_job = isinstance(find(name), JobCapability)
        view = await in_thread(lambda: caught(pending.view))
        if isinstance(view, CallToolResult):
            return view
        return view_result(view) if starts_job else answer_result(view)

    async def call(self, name: str, arguments: Mapping[str, Any], context: Context[Any, Any]) -> CallToolResult:
        """Return the result of a call, waiting for its job as long as the request says."""
        started = await self.start(name, arguments)
        if isinstance(started, CallToolResult):
            return started
        failure = await self._wait(started, ProgressReport(context.report_progress))
        return failure or await self.finish(name, started)

    async def _wait(self, pending: Pending, report: ProgressReport) -> CallToolResult | None:
        pause = POLL_FIRST_S
        while True:
            done = await in_thread(lambda: caught(pending.done))
            if isinstance(done, CallToolResult):
                return done
            if done:
                return None
            await report(await in_thread(lambda: self.lab.engine.progress(pending.job_id)))
            await anyio.sleep(pause)
            pause = min(POLL_MAX_S, pause * 1.5)


def caught(work: Callable[[], _Value]) -> _Value | CallToolResult:
    """Return what the work returns, or the tool result that says how it failed."""
    try:
        return work()
    except LabError as error:
        return error_result(error)
    except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001 - the server's boundary: a library that exits must not end it
        error_id = secrets.token_hex(8)
        _log.exception("internal error %s", error_id, extra={"error_id": error_id})
        return internal_error_result(error_id)
