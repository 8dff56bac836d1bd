"""A job's progress as MCP notifications: always growing, at most one a second, a heartbeat while nothing moves."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from interp_lab.contracts.jobs import JobProgress
from interp_lab_server.sanitize import one_line

INTERVAL_S = 1.0
HEARTBEAT_S = 10.0
_MESSAGE_CHARS = 200
_STEP = 1e-6

Send = Callable[[float, float | None, str | None], Awaitable[None]]


class ProgressReport:
    """Progress of one call; the values sent grow even when a job starts again from its checkpoint."""

    def __init__(self, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._sent_at: float | None = None
        self._value = -_STEP
        self._seen: JobProgress | None = None

    async def __call__(self, progress: JobProgress | None) -> None:
        """Send the progress if it is news, or if the client has heard nothing for long enough to wonder."""
        now = self._clock()
        quiet = float("inf") if self._sent_at is None else now - self._sent_at
        if quiet < INTERVAL_S or (progress == self._seen and quiet < HEARTBEAT_S and self._sent_at is not None):
            return
        self._sent_at, self._seen = now, progress
        done = progress.done if progress else 0.0
        self._value = done if done > self._value else self._value + _STEP * max(1.0, self._value)
        await self._send(self._value, self._total(progress), message(progress))

    def _total(self, progress: JobProgress | None) -> float | None:
        """Return the job's total, unless the values sent have left it behind with an earlier stage of the work."""
        total = progress.total if progress else None
        return total if total is not None and total >= self._value else None


def message(progress: JobProgress | None) -> str:
    """Return the progress in words."""
    if progress is None:
        return "waiting to start"
    total = "" if progress.total is None else f"/{progress.total:g}"
    left = "" if progress.eta_s is None else f", about {progress.eta_s:.0f} s left of this step"
    counted = f"{progress.done:g}{total} {progress.unit}".strip()
    return one_line(f"{progress.message or 'running'}: {counted}{left}", _MESSAGE_CHARS)
