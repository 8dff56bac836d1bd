"""Taking a job on: its folder first, then one transaction; a repeated request finds the job that it already has."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass

from interp_lab.artifacts.canonical import sha256_hex
from interp_lab.artifacts.durable import (
    disk_full_as_error,
    free_bytes,
    fsync_directory,
    make_durable_folder,
    write_durably,
)
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobState
from interp_lab.errors import (
    DiskFull,
    LabError,
    NoSuchSlot,
    QueueFull,
    QuotaExceeded,
    RequestKeyConflict,
    WorkspaceUnusable,
)
from interp_lab.jobs.catalog import Catalog, Transaction
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.ledger import actor
from interp_lab.jobs.spec import JobSpec, StoredSpec, needed_slots
from interp_lab.settings import Settings

_CLIENT = "client:"
_RERUN: frozenset[JobState] = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class _Known:
    """The job that a key already names."""

    job_id: str
    state: JobState
    body: str


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a submission is recognised by."""

    key: str
    body: str
    fresh: bool
    """Whether a new job is wanted even if there is one."""

    def reuse(self, known: _Known | None) -> str | None:
        """Return the id of the job that already does this work, or None when a new one is due.

        Raises:
            RequestKeyConflict: The key names different work.
        """
        if known is None:
            return None
        if known.body != self.body:
            raise RequestKeyConflict
        over = known.state in _RERUN and not self.key.startswith(_CLIENT)
        return None if self.fresh or over else known.job_id


class Desk:
    """Where submissions are taken."""

    def __init__(self, settings: Settings, paths: WorkspacePaths, catalog: Catalog, clock: Clock) -> None:
        self._settings = settings
        self._paths = paths
        self._catalog = catalog
        self._clock = clock

    def submit(self, spec: JobSpec, *, request_key: str | None, force: bool) -> str:
        """Return the id of the job that does this work: the one there is, or a new one.

        A client's key always names one job. Without one, equal work shares a job unless that job failed or was
        cancelled (then a new job continues its checkpoint) or `force` asks for a fresh one.

        Raises:
            RequestKeyConflict: The key was used for a different request.
            NoSuchSlot, QueueFull, QuotaExceeded, DiskFull: Nothing was taken on.
        """
        key = client_key(request_key) if request_key else spec.auto_key()
        ask = _Ask(key, spec.body_hash(), fresh=force and not request_key)
        with self._catalog.read() as db:
            known = _find(db, key)
        if reuse := ask.reuse(known):
            return reuse
        self._check_room(spec)
        stored = StoredSpec(
            id=secrets.token_hex(16),
            spec=spec,
            key=key,
            created_at=self._clock.now().isoformat(),
            resumes=known.job_id if known and not ask.fresh else None,
        )
        return self._take_on(stored, ask)

    def _check_room(self, spec: JobSpec) -> None:
        slots = self._settings.gpu_slots if spec.slot == "gpu" else self._settings.cpu_slots
        wanted = needed_slots(spec, self._settings)
        if slots < wanted:
            what = f"a {spec.slot} slot" if wanted == 1 else f"{wanted} {spec.slot} slots at once"
            raise NoSuchSlot(f"The job needs {what} and this server has {slots or 'none'}.")
        free = free_bytes(self._paths.root)
        if free < self._settings.min_free_bytes:
            least = self._settings.min_free_bytes
            raise DiskFull(f"No job is accepted with less than {least} bytes free; {free} bytes are free.")

    def _take_on(self, stored: StoredSpec, ask: _Ask) -> str:
        folder = self._paths.job(stored.id)
        try:
            data = stored.encode()
            self._write_folder(stored, data)
            with self._catalog.write() as db:
                reuse = ask.reuse(_find(db, ask.key))
                if reuse is None:
                    self._check_limits(db)
                    self._insert(db, stored, ask, sha256_hex(data))
        except LabError as error:
            # After a failed write the row may be there all the same; then the sweep decides about the folder.
            if not isinstance(error, WorkspaceUnusable):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if reuse is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return reuse or stored.id

    def _write_folder(self, stored: StoredSpec, data: bytes) -> None:
        folder = self._paths.job(stored.id)
        with disk_full_as_error(self._paths.jobs, len(data)):
            make_durable_folder(folder)
            write_durably(folder / "spec.json", data)
            fsync_directory(self._paths.jobs)

    def _check_limits(self, db: Transaction) -> None:
        waiting: int = db.one("count_waiting")[0]
        if waiting >= self._settings.queue_cap:
            raise QueueFull(f"{waiting} jobs are waiting; the limit is {self._settings.queue_cap}.")
        quota = self._settings.quota_bytes
        used: int = db.one("published_bytes")[0]
        if quota is not None and used >= quota:
            raise QuotaExceeded(f"Artifacts use {used} of {quota} bytes.")

    def _insert(self, db: Transaction, stored: StoredSpec, ask: _Ask, spec_sha256: str) -> None:
        db.run("insert_job", spec_sha256=spec_sha256, **row_of(stored))
        db.run("put_key", key=ask.key, body_sha256=ask.body, job_id=stored.id)
        at = self._clock.now().isoformat()
        detail = ask.key.partition(":")[0]
        db.run("insert_event", id=stored.id, at=at, kind="submitted", actor=actor(), detail=detail)


def client_key(request_key: str) -> str:
    """Return the stored form of a client's key: of one length whatever the client sent."""
    return _CLIENT + sha256_hex(request_key.encode("utf-8", "surrogatepass"))


def row_of(stored: StoredSpec) -> dict[str, object]:
    """Return the columns of a job's row that its spec.json fixes."""
    spec = stored.spec
    return {
        "id": stored.id,
        "capability": spec.capability,
        "label": spec.label,
        "slot_kind": spec.slot,
        "priority": spec.priority,
        "resumes": stored.resumes,
        "created_at": stored.created_at,
    }


def _find(db: Transaction, key: str) -> _Known | None:
    row = db.one("find_key", key=key)
    return None if row is None else _Known(row["id"], row["state"], row["body_sha256"])
