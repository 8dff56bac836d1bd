"""A run whose progress is a file that others read: what a job and a part of one have in common."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

from interp_lab.jobs.clock import Clock
from interp_lab.jobs.pace import Pace
from interp_lab.jobs.run import Run
from interp_lab.jobs.spec import StoredSpec
from interp_lab.jobs.stop import StopSign


class PacedRun(Run):
    """One try at a stored job or a part of it, which says how far it is at most twice a second."""

    def __init__(self, stored: StoredSpec, *, attempt: int, workspace: Path, clock: Clock, stop: StopSign) -> None:
        super().__init__(job_id=stored.id, attempt=attempt, seed=stored.spec.seed, workspace=workspace)
        self.code_version = stored.spec.code_version
        kept = ("capability", "request", *(("investigator",) if stored.spec.investigator else ()))
        self.spec = {name: value for name, value in asdict(stored.spec).items() if name in kept}
        self._stop = stop
        self._pace = Pace(attempt, clock)
        self._latest: dict[str, Any] | None = None
        self._writing = threading.Lock()

    def check(self) -> None:
        """Raise CancelledJob or InterruptedJob if the run is to stop."""
        self._stop.check()

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Say how far the work is; see `Run.progress`."""
        latest = self._pace.report(done, total, message, unit)
        with self._writing:
            self._latest = latest
        if self._pace.due():
            self.flush_progress()
        self._stop.check()

    def flush_progress(self) -> None:
        """Write the latest progress if it is not written yet; safe to call from another thread."""
        with self._writing:
            if self._latest is not None:
                self._write_progress(self._latest)
                self._latest = None

    @abstractmethod
    def _write_progress(self, latest: dict[str, Any]) -> None:
        """Put the latest progress where it is read."""
