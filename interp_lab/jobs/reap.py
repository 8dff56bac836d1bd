"""Finding jobs whose process is gone, ending what it left running, and deciding what becomes of the job."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from interp_lab.artifacts.locks import try_lock
from interp_lab.artifacts.space import with_ballast
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobFailure
from interp_lab.errors import LabError, WorkerCannotStart, WorkerKilled
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.discard import discard_unpublished
from interp_lab.jobs.job import ACTIVE_STATES, Job
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Launcher
from interp_lab.jobs.ledger import Attempt, Budgets, Exit, Ledger
from interp_lab.settings import Settings


class Reaper:
    """Buries dead attempts and ends cancelled ones that do not listen."""

    def __init__(
        self,
        settings: Settings,
        paths: WorkspacePaths,
        *,
        catalog: Catalog,
        ledger: Ledger,
        launcher: Launcher,
        store: ArtifactStore,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._catalog = catalog
        self._ledger = ledger
        self._launcher = launcher
        self._store = store
        self._clock = clock
        self._budgets = Budgets(crashes=settings.crash_budget, starts=settings.start_budget)

    def reap_all(self) -> None:
        """Look at every active job once."""
        with self._catalog.read() as db:
            active = db.all("active_jobs")
        lives = self._launcher.poll([Attempt(row["id"], row["attempt"]) for row in active])
        for row in active:
            attempt = Attempt(row["id"], row["attempt"])
            if lives[attempt].liveness == "gone":
                self._bury(attempt, lives[attempt].exit)
            elif row["cancel"]:
                self.escalate(attempt, row["cancel_boot_s"] or 0.0)

    def reap(self, attempt: Attempt) -> None:
        """Look at one active attempt."""
        life = self._launcher.poll([attempt])[attempt]
        if life.liveness == "gone":
            self._bury(attempt, life.exit)

    def escalate(self, attempt: Attempt, asked_boot_s: float) -> None:
        """Kill a cancelled attempt once its time to stop by itself is over."""
        if self._clock.boot_s() - asked_boot_s >= self._settings.kill_grace_s and self._launcher.cancel(
            attempt, force=True
        ):
            self.reap(attempt)

    def not_started(self, attempt: Attempt, error: OSError) -> None:
        """Record that no process could be started; the caller holds the run lock."""
        folder = JobFolder(self._paths, attempt.job_id)
        with suppress(OSError), folder.log.open("a", encoding="utf-8") as log:
            log.write(f"The worker could not be started: {error}\n")
        self._decide(attempt, None)

    def _bury(self, attempt: Attempt, seen: Exit | None) -> None:
        lock = try_lock(self._paths.run_lock(attempt.job_id))
        if lock is None:
            return
        with lock:
            if not self._is_current(attempt) or not self._launcher.cancel(attempt, force=True):
                return
            discard_unpublished(self._paths, self._catalog, self._store, attempt)
            self._decide(attempt, seen)

    def _is_current(self, attempt: Attempt) -> bool:
        job = self._ledger.job(attempt.job_id)
        return job.attempt == attempt.number and job.state in ACTIVE_STATES

    def _decide(self, attempt: Attempt, seen: Exit | None) -> None:
        folder = JobFolder(self._paths, attempt.job_id)
        describe = _Diagnosis(folder.log).describe
        job = with_ballast(self._paths, lambda: self._ledger.died(attempt, seen, self._budgets, describe))
        if job is not None and job.final:
            folder.write_ended(job)


class _Diagnosis:
    """Puts into words why a job's processes kept dying."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def describe(self, job: Job, exits: Sequence[Exit]) -> JobFailure:
        """Return the failure to record for a job whose budget is spent."""
        if job.state == "starting":
            return _failure(WorkerCannotStart(f"The worker ended {len(exits)} times before it began to work."))
        statuses = [found.status for found in exits if found.status is not None]
        peaks = [found.peak_rss_bytes for found in exits if found.peak_rss_bytes]
        memory = f"; its peak memory was {max(peaks) / 2**20:.0f} MiB" if peaks else ""
        times = f"{len(exits)} times" if len(exits) > 1 else "once"
        return _failure(WorkerKilled(f"The worker was {_manner(statuses, self._crash_line())}{memory} ({times})."))

    def _crash_line(self) -> str | None:
        """Return the line that the interpreter's fault handler wrote, if it did."""
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 65536))
            lines = log.read().decode("utf-8", "replace").splitlines()
            return next((line for line in reversed(lines) if line.startswith("Fatal Python error")), None)
        return None


def _manner(statuses: Sequence[int], crash: str | None) -> str:
    status = statuses[0] if statuses else None
    if crash is not None:
        return f"ended by a native crash ({crash})"
    if status is None:
        return "killed or crashed, possibly out of memory"
    if status == -signal.SIGKILL:
        return "killed (signal 9), likely out of memory"
    if status < 0:
        return f"killed (signal {-status}, {signal.Signals(-status).name})"
    return f"ended with exit code {status} without a result"


def _failure(error: LabError) -> JobFailure:
    return JobFailure(code=error.code, what=error.what, remedy=error.remedy)
