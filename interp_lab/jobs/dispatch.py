"""Giving free slots to waiting jobs; any process may do it at any time."""

from __future__ import annotations

from contextlib import ExitStack

from interp_lab.artifacts.locks import FileLock, try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Claim, Launcher
from interp_lab.jobs.ledger import Attempt, Ledger
from interp_lab.jobs.reap import Reaper
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings


class Dispatcher:
    """Starts waiting jobs."""

    def __init__(
        self,
        settings: Settings,
        paths: WorkspacePaths,
        *,
        catalog: Catalog,
        ledger: Ledger,
        launcher: Launcher,
        reaper: Reaper,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._catalog = catalog
        self._ledger = ledger
        self._launcher = launcher
        self._reaper = reaper

    def dispatch(self) -> int:
        """Fill the free slots and return how many jobs were started."""
        with self._catalog.read() as db:
            kinds: list[SlotKind] = [row[0] for row in db.all("waiting_kinds")]
        return sum(self._fill(kind) for kind in kinds)

    def _fill(self, kind: SlotKind) -> int:
        count = self._settings.gpu_slots if kind == "gpu" else self._settings.cpu_slots
        started = 0
        for index in range(count):
            name = f"{kind}-{index}"
            lock = try_lock(self._paths.slot(name))
            if lock is None:
                continue
            with lock:
                if not self._start_in(name, kind, lock):
                    break
                started += 1
        return started

    def _start_in(self, slot: str, kind: SlotKind, slot_lock: FileLock) -> bool:
        """Start the next job in a slot whose lock is held; return False when there is nothing more to start."""
        self._clear(slot)
        with ExitStack() as held:
            taken: dict[str, FileLock] = {}

            def takes(job_id: str) -> bool:
                lock = try_lock(self._paths.run_lock(job_id))
                if lock is not None:
                    taken[job_id] = held.enter_context(lock)
                return lock is not None

            attempt = self._ledger.claim(slot, kind, takes)
            if attempt is None:
                return False
            return self._launch(Claim(attempt, slot, taken[attempt.job_id], slot_lock))

    def _launch(self, claim: Claim) -> bool:
        JobFolder(self._paths, claim.attempt.job_id).write_claim(claim.attempt.number, claim.slot)
        try:
            self._launcher.submit(claim)
        except OSError as error:
            self._reaper.not_started(claim.attempt, error)
            return False
        return True

    def _clear(self, slot: str) -> None:
        """Bury a job that died in this slot: what it left running must be gone before the slot is used again."""
        with self._catalog.read() as db:
            row = db.one("holder_of_slot", slot=slot)
        if row is not None:
            self._reaper.reap(Attempt(row["id"], row["attempt"]))
