"""Giving free slots to waiting jobs; any process may do it at any time."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack

from interp_lab.artifacts.locks import FileLock, try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.job import ACTIVE_STATES
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Claim, Launcher
from interp_lab.jobs.ledger import Attempt, Ledger
from interp_lab.jobs.reap import Reaper
from interp_lab.jobs.spec import SlotKind
from interp_lab.jobs.waiting import slots_of
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
        started = 0
        with ExitStack() as held:
            free: dict[str, FileLock] = {}
            for name in (f"{kind}-{index}" for index in range(self._count(kind))):
                if (lock := try_lock(self._paths.slot(name))) is not None:
                    free[name] = held.enter_context(lock)
                    self._clear(name)
            for name in self._unburied(free):
                del free[name]
            while free and self._start_in(free, kind):
                started += 1
        return started

    def _count(self, kind: SlotKind) -> int:
        return self._settings.gpu_slots if kind == "gpu" else self._settings.cpu_slots

    def _start_in(self, free: dict[str, FileLock], kind: SlotKind) -> bool:
        """Start the next job in slots whose locks are held; return False when there is nothing more to start.

        A job that needs more slots than are free waits for its turn, and those behind it wait with it: otherwise the
        small ones would take every slot that becomes free, and it would never run.
        """
        with ExitStack() as held:
            turn = _Turn(self._settings, self._paths, n_free=len(free), n_slots=self._count(kind), held=held)
            attempt = self._ledger.claim(next(iter(free)), kind, turn.takes)
            if attempt is None:
                return False
            slots = {name: free.pop(name) for name in list(free)[: turn.needed]}
            return self._launch(Claim(attempt, turn.taken[attempt.job_id], slots))

    def _launch(self, claim: Claim) -> bool:
        JobFolder(self._paths, claim.attempt.job_id).write_claim(claim.attempt.number, tuple(claim.slots))
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

    def _unburied(self, free: Collection[str]) -> set[str]:
        """Return which free slots are of a job of several that died; another process may be burying it just now."""
        with self._catalog.read() as db:
            active = db.all("active_jobs")
        found = {Attempt(row["id"], row["attempt"]): self._further(row["id"], row["attempt"]) for row in active}
        left = {attempt: slots.intersection(free) for attempt, slots in found.items()}
        for attempt in (attempt for attempt, slots in left.items() if slots):
            self._reaper.reap(attempt)
            job = self._ledger.job(attempt.job_id)
            if job.attempt != attempt.number or job.state not in ACTIVE_STATES:
                left[attempt] = set()
        return {name for slots in left.values() for name in slots}

    def _further(self, job_id: str, attempt: int) -> set[str]:
        """Return the slots of an attempt besides the one that the catalogue has."""
        claim = JobFolder(self._paths, job_id).read_claim() or {}
        return set(map(str, claim.get("slots", ())[1:])) if claim.get("attempt") == attempt else set()


class _Turn:
    """Whose turn it is, of the jobs that wait."""

    def __init__(
        self, settings: Settings, paths: WorkspacePaths, *, n_free: int, n_slots: int, held: ExitStack
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._n_free = n_free
        self._n_slots = n_slots
        self._held = held
        self.needed = 1
        """Slots that the last job asked about needs."""
        self.taken: dict[str, FileLock] = {}
        """Run locks that were obtained, by job."""

    def takes(self, job_id: str) -> bool:
        """Return whether a job may start now; once one has to wait for slots, none may.

        One for which there are too few, since the operator has taken some away, keeps nobody waiting.
        """
        if self.needed > self._n_free:
            return False
        needed = slots_of(job_id, self._settings, self._paths)
        if needed > self._n_slots or (lock := try_lock(self._paths.run_lock(job_id))) is None:
            return False
        self.needed = needed
        self.taken[job_id] = self._held.enter_context(lock)
        return needed <= self._n_free
