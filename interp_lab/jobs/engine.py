"""The job engine of one workspace: submit, look, cancel, read; and the tick that moves jobs on.

Any number of processes may have one open on the same workspace. It starts no threads and holds no job state in
memory, so ending the process loses nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from interp_lab.artifacts.collect import Collected
from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobProgress, JobState
from interp_lab.errors import ArtifactCorrupt, ArtifactTooNew, InvalidCursor, UnknownArtifact, UnknownJob
from interp_lab.jobs.clock import Clock, SystemClock
from interp_lab.jobs.cluster_launcher import launcher_for
from interp_lab.jobs.dispatch import Dispatcher
from interp_lab.jobs.inline_artifacts import InlinePublisher
from interp_lab.jobs.job import ACTIVE_STATES, Job, JobEvent, LogPage, Page, event_from_row, job_from_row
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Launcher
from interp_lab.jobs.ledger import Attempt, Ledger
from interp_lab.jobs.opening import OpenCatalog
from interp_lab.jobs.reap import Reaper
from interp_lab.jobs.spec import JobSpec
from interp_lab.jobs.submit import Desk
from interp_lab.jobs.sweep import sweep
from interp_lab.settings import Settings

_SWEEP_EVERY_S = 3600.0
_NEWEST = 2**62
"""Above every sequence number, below SQLite's largest integer."""


class JobEngine:
    """The jobs of one workspace."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, launcher: Launcher | None = None) -> None:
        self.settings = settings
        self.paths = WorkspacePaths.of(settings)
        self.artifacts = ArtifactStore(self.paths)
        self._clock: Clock = clock or SystemClock()
        self._launcher: Launcher = launcher or launcher_for(settings, self.paths)
        self._open = OpenCatalog(settings, self.paths, self.artifacts, launcher=self._launcher)
        self._catalog = self._open.catalog
        self._next_sweep_s = self._clock.boot_s() + _SWEEP_EVERY_S
        self._ledger = Ledger(self._catalog, self._clock)
        self._desk = Desk(settings, self.paths, self._catalog, self._clock)
        self._reaper = Reaper(
            settings,
            self.paths,
            catalog=self._catalog,
            ledger=self._ledger,
            launcher=self._launcher,
            store=self.artifacts,
            clock=self._clock,
        )
        self._dispatcher = Dispatcher(
            settings,
            self.paths,
            catalog=self._catalog,
            ledger=self._ledger,
            launcher=self._launcher,
            reaper=self._reaper,
        )

        self.inline = InlinePublisher(settings, self.paths, catalog=self._catalog, store=self.artifacts)
        """Publishes what is made while the caller waits."""

    def close(self) -> None:
        """Let go of the catalogue; jobs go on."""
        self._open.close()

    def submit(self, spec: JobSpec, *, request_key: str | None = None, force: bool = False) -> Job:
        """Return the job that does this work, a new one or the one there is; see `Desk.submit` for the errors."""
        return self.get(self._desk.submit(spec, request_key=request_key, force=force))

    def get(self, job_id: str) -> Job:
        """Return the job as it is now, after a look at whether its process still lives.

        Raises:
            UnknownJob: There is none of that id.
        """
        job = self._load(job_id)
        if job.state in ACTIVE_STATES:
            self._reaper.reap(Attempt(job.id, job.attempt))
            job = self._load(job_id)
        return self._with_stall(job)

    def spec(self, job_id: str) -> JobSpec:
        """Return what the job was asked to do.

        Raises:
            UnknownJob: There is none of that id.
            JobFilesCorrupt: Its spec is damaged.
        """
        row = self._row(job_id)
        return JobFolder(self.paths, job_id).read_spec(row["spec_sha256"]).spec

    def list_jobs(self, *, states: tuple[JobState, ...] = (), limit: int = 20, cursor: str | None = None) -> Page[Job]:
        """Return one page of jobs, newest first, of the given states or all.

        Raises:
            InvalidCursor: The cursor did not come from a page before.
        """
        wanted = f",{','.join(states)}," if states else ""
        with self._catalog.read() as db:
            rows = db.all("list_jobs", before=_before(cursor), states=wanted, limit=limit + 1)
        jobs = tuple(self._with_stall(job_from_row(row)) for row in rows[:limit])
        return Page(jobs, str(jobs[-1].seq) if len(rows) > limit else None)

    def cancel(self, job_id: str) -> Job:
        """Cancel the job and return it: at once if it waits, soon if it runs, unchanged if it has ended.

        Raises:
            UnknownJob: There is none of that id.
        """
        folder = JobFolder(self.paths, job_id)
        job = self._ledger.request_cancel(job_id)
        if job is None:
            raise UnknownJob(f"There is no job {job_id}.")
        if job.state == "cancelled":
            folder.flag_cancel()  # parts of an interrupted attempt may still be at work on a cluster
            folder.write_ended(job)
        if job.state in ACTIVE_STATES:
            folder.flag_cancel()
            self._launcher.cancel(Attempt(job.id, job.attempt), force=False)
        return self.get(job_id)

    def logs(self, job_id: str, *, offset: int | None = None, max_bytes: int = 8000) -> LogPage:
        """Return part of the job's log, or its end when no offset is given; see `get` for the error."""
        self._row(job_id)
        return self._launcher.logs(job_id, offset=offset, max_bytes=max_bytes)

    def live_page(self, job_id: str) -> str | None:
        """Return the page that shows how the job stands, or None where it draws none; see `get` for the error."""
        self._row(job_id)
        return JobFolder(self.paths, job_id).read_live()

    def progress(self, job_id: str) -> JobProgress | None:
        """Return how far the job has come, or None before its first word; see `get` for the error."""
        raw = JobFolder(self.paths, job_id).read_progress()
        if raw is None:
            self._row(job_id)
            return None
        try:
            return JobProgress.model_validate({name: raw.get(name) for name in JobProgress.model_fields})
        except ValidationError:
            return None

    def events(self, job_id: str, after: int = 0, *, limit: int = 200) -> list[JobEvent]:
        """Return the job's transitions after an event id, oldest first; see `get` for the error."""
        self._row(job_id)
        with self._catalog.read() as db:
            return [event_from_row(row) for row in db.all("events_of", id=job_id, after=after, limit=limit)]

    def result(self, job_id: str) -> dict[str, Any] | None:
        """Return the result of a job that succeeded, None for any other.

        Raises:
            UnknownJob: There is none of that id.
            JobFilesCorrupt: The result is not the one that was published.
        """
        row = self._row(job_id)
        if row["state"] != "succeeded":
            return None
        return JobFolder(self.paths, job_id).read_result(row["result_sha256"])["result"]

    def artifacts_of(self, job_id: str) -> tuple[Manifest, ...]:
        """Return the manifests of what the job published; damaged ones are left out. See `get` for the error."""
        self._row(job_id)
        with self._catalog.read() as db:
            ids = [row["id"] for row in db.all("artifacts_of", id=job_id)]
        return self._readable(ids)

    def list_artifacts(
        self, *, kind: str | None = None, job_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page[Manifest]:
        """Return one page of published artifacts, newest first; damaged ones are left out.

        Raises:
            InvalidCursor: The cursor did not come from a page before.
        """
        with self._catalog.read() as db:
            rows = db.all("list_artifacts", before=_before(cursor), kind=kind, job_id=job_id, limit=limit + 1)
        items = self._readable([row["id"] for row in rows[:limit]])
        return Page(items, str(rows[limit - 1]["seq"]) if len(rows) > limit else None)

    def tick(self) -> None:
        """Move every job on: bury the dead, end the cancelled, start the waiting. Call about once a second."""
        self._reaper.reap_all()
        self._dispatcher.dispatch()
        if self._clock.boot_s() >= self._next_sweep_s:
            self._next_sweep_s = self._clock.boot_s() + _SWEEP_EVERY_S
            self.sweep()

    def sweep(self) -> Collected:
        """Collect what nothing refers to any more and return what was found; `tick` does it every hour."""
        return sweep(self.paths, self._catalog, self.artifacts)

    def _row(self, job_id: str) -> Any:
        self.paths.job(job_id)
        with self._catalog.read() as db:
            row = db.one("get_job", id=job_id)
        if row is None:
            raise UnknownJob(f"There is no job {job_id}.")
        return row

    def _load(self, job_id: str) -> Job:
        return job_from_row(self._row(job_id))

    def _with_stall(self, job: Job) -> Job:
        if job.state != "running":
            return job
        raw = JobFolder(self.paths, job.id).read_progress()
        return replace(job, stalled=raw is not None and self._is_stalled(raw))

    def _is_stalled(self, raw: Mapping[str, Any]) -> bool:
        intervals: list[float] = raw.get("intervals_s", [])
        pace = statistics.median(intervals) if intervals else 0.0
        patience = max(self.settings.stall_floor_s, self.settings.stall_factor * pace)
        return self._clock.boot_s() - float(raw.get("boot_s", 0.0)) > patience

    def _readable(self, artifact_ids: list[str]) -> tuple[Manifest, ...]:
        manifests: list[Manifest] = []
        for artifact_id in artifact_ids:
            with suppress(ArtifactCorrupt, UnknownArtifact, ArtifactTooNew):
                manifests.append(self.artifacts.open(artifact_id))
        return tuple(manifests)


def _before(cursor: str | None) -> int:
    if cursor is None:
        return _NEWEST
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidCursor(f"{cursor[:40]!r} is not a cursor.")
    return int(cursor)
