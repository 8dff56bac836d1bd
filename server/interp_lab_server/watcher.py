"""The server's heartbeat: once a second it lets the queue move, and tells subscribers which jobs changed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping

import anyio

from interp_lab.contracts.artifacts import job_uri
from interp_lab.contracts.jobs import JobProgress, JobState
from interp_lab.errors import LabError
from interp_lab_server.boundary import in_thread
from interp_lab_server.subscriptions import Subscriptions
from interp_lab_tools.lab import Lab

PERIOD_S = 1.0
WATCHED = 50
"""Newest jobs that are watched for changes."""

_log = logging.getLogger(__name__)
Seen = Mapping[str, tuple[JobState, JobProgress | None]]


class Watcher:
    """Watches one lab; started with the server, stopped by cancelling it."""

    def __init__(self, lab: Lab, subscriptions: Subscriptions) -> None:
        self._lab = lab
        self._subscriptions = subscriptions
        self._seen: Seen | None = None

    async def run(self) -> None:
        """Look once a period, for ever; a catalogue that is busy or a full disk is waited out."""
        while True:
            try:
                await self.look()
            except (LabError, OSError, sqlite3.Error) as error:
                _log.warning("the queue could not be looked at: %s", error)
            await anyio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Let the queue move, then publish what changed since the last look."""
        now = await in_thread(self._state)
        before, self._seen = self._seen, now
        if before is None:
            return
        changed = [job_id for job_id, state in now.items() if before.get(job_id) != state]
        for job_id in changed:
            await self._subscriptions.updated(job_uri(job_id))
        if any(now[job_id][0] == "succeeded" for job_id in changed):
            await self._subscriptions.listed()

    def _state(self) -> Seen:
        engine = self._lab.engine
        engine.tick()
        jobs = engine.list_jobs(limit=WATCHED).items
        return {job.id: (job.state, None if job.final else engine.progress(job.id)) for job in jobs}
