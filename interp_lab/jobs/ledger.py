"""Every transition of a job, each one transaction: state, attempt, event, and what they publish, or nothing at all.

A process that has lost its job changes nothing: each write names the attempt that it speaks for.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.jobs import JobFailure
from interp_lab.jobs.catalog import Catalog, Transaction
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.job import ACTIVE_STATES, EventKind, Job, job_from_row


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job: what a process may speak for."""

    job_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended, as far as its parent saw."""

    status: int | None
    """Exit code, or minus the signal that killed it."""
    peak_rss_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How often a job may fail to end by itself."""

    crashes: int
    starts: int


FinalState = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended."""

    state: FinalState
    duration_s: float | None = None
    error: JobFailure | None = None
    result_sha256: str | None = None


class Ledger:
    """Writes the transitions of jobs into the catalogue."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._actor = actor()

    def claim(self, slot: str, slot_kind: str, takes: Callable[[str], bool]) -> Attempt | None:
        """Give the slot to the first waiting job for which `takes(job_id)` obtains the run lock; return its attempt."""
        with self._catalog.write() as db:
            if db.one("holder_of_slot", slot=slot) is not None:
                return None
            for row in db.all("waiting_of_kind", slot_kind=slot_kind):
                if takes(row["id"]) and db.run("claim", id=row["id"], slot=slot):
                    db.run("insert_attempt", id=row["id"], at=self._now(), actor=self._actor)
                    self._event(db, row["id"], "claimed", slot)
                    return Attempt(row["id"], db.one("get_job", id=row["id"])["attempt"])
        return None

    def started(self, attempt: Attempt) -> bool:
        """Record that the worker is about to work; return whether it may."""
        with self._catalog.write() as db:
            if not db.run("mark_running", id=attempt.job_id, attempt=attempt.number, at=self._now()):
                return False
            db.run("attempt_started", id=attempt.job_id, attempt=attempt.number, at=self._now())
            self._event(db, attempt.job_id, "started")
            return True

    def end(self, attempt: Attempt, ending: Ending, manifests: Sequence[Manifest] = ()) -> bool:
        """End the job and publish what it made; return False, changing nothing, if the attempt may not do that.

        A job whose cancellation was asked for can only end as cancelled, and no other job can.
        """
        with self._catalog.write() as db:
            if not self._end(db, attempt, ending):
                return False
            for manifest in manifests:
                insert_artifact(db, manifest)
            return True

    def interrupted(self, attempt: Attempt) -> bool:
        """Put the job back to go on from its checkpoint, not counted as a crash; return False if it is not ours."""
        with self._catalog.write() as db:
            if not db.run("requeue", id=attempt.job_id, attempt=attempt.number, state="interrupted"):
                return False
            self._close_attempt(db, attempt, "interrupted")
            return True

    def request_cancel(self, job_id: str) -> Job | None:
        """Cancel a waiting job, flag an active one, leave an ended one; return it as it is now, None if unknown."""
        with self._catalog.write() as db:
            if db.run("cancel_waiting", id=job_id, at=self._now()):
                self._event(db, job_id, "cancelled")
            elif db.run("flag_cancel", id=job_id, boot_s=self._clock.boot_s()):
                self._event(db, job_id, "cancel_requested")
            row = db.one("get_job", id=job_id)
            return None if row is None else job_from_row(row)

    def died(
        self,
        attempt: Attempt,
        seen: Exit | None,
        budgets: Budgets,
        describe: Callable[[Job, Sequence[Exit]], JobFailure],
    ) -> Job | None:
        """Record that the attempt's process is gone without a word; return the job as it is then, None if not ours.

        The caller holds the run lock, so nobody else decides about this job meanwhile.
        """
        with self._catalog.write() as db:
            row = db.one("get_job", id=attempt.job_id)
            job = job_from_row(row)
            if job.attempt != attempt.number or job.state not in ACTIVE_STATES:
                return None
            if job.cancel_requested:
                self._end(db, attempt, Ending(state="cancelled"))
            else:
                self._count_death(db, row, attempt, seen)
                if _within_budget(row, budgets):
                    db.run("requeue", id=job.id, attempt=attempt.number, state="queued")
                else:
                    exits = [Exit(r["exit_status"], r["peak_rss_bytes"]) for r in db.all("exits_of", id=job.id)]
                    self._end(db, attempt, Ending(state="failed", error=describe(job, exits)), close_attempt=False)
            return job_from_row(db.one("get_job", id=job.id))

    def job(self, job_id: str) -> Job:
        """Return a job that is known to exist."""
        with self._catalog.read() as db:
            return job_from_row(db.one("get_job", id=job_id))

    def spec_hash(self, job_id: str) -> str:
        """Return the hash of the spec.json of a job that is known to exist."""
        with self._catalog.read() as db:
            return db.one("get_job", id=job_id)["spec_sha256"]

    def _count_death(self, db: Transaction, row: Any, attempt: Attempt, seen: Exit | None) -> None:
        db.run("count_death", id=attempt.job_id)
        self._close_attempt(db, attempt, "crashed" if row["state"] == "running" else "start_failed")
        if seen is not None:
            db.run(
                "attempt_exit",
                id=attempt.job_id,
                attempt=attempt.number,
                exit_status=seen.status,
                peak_rss_bytes=seen.peak_rss_bytes,
            )

    def _end(self, db: Transaction, attempt: Attempt, ending: Ending, *, close_attempt: bool = True) -> bool:
        changed = db.run(
            "end_job",
            id=attempt.job_id,
            attempt=attempt.number,
            state=ending.state,
            cancel=int(ending.state == "cancelled"),
            at=self._now(),
            duration_s=ending.duration_s,
            error=None if ending.error is None else json.dumps(ending.error.model_dump()),
            result_sha256=ending.result_sha256,
        )
        if not changed:
            return False
        if close_attempt:
            self._close_attempt(db, attempt, ending.state)
        else:
            self._event(db, attempt.job_id, ending.state)
        return True

    def _close_attempt(self, db: Transaction, attempt: Attempt, outcome: EventKind) -> None:
        db.run("attempt_ended", id=attempt.job_id, attempt=attempt.number, at=self._now(), outcome=outcome)
        self._event(db, attempt.job_id, outcome)

    def _event(self, db: Transaction, job_id: str, kind: EventKind, detail: str = "") -> None:
        db.run("insert_event", id=job_id, at=self._now(), kind=kind, actor=self._actor, detail=detail)

    def _now(self) -> str:
        return self._clock.now().isoformat()


def _within_budget(row: Any, budgets: Budgets) -> bool:
    """Return whether a job may be tried again after one more death; `row` is from before that death."""
    if row["state"] == "running":
        return row["crashes"] + 1 < budgets.crashes
    return row["start_failures"] + 1 < budgets.starts


def actor() -> str:
    """Return who writes: this host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def insert_artifact(db: Transaction, manifest: Manifest) -> None:
    """Write the row that makes an artifact public."""
    db.run(
        "insert_artifact",
        id=manifest.id,
        job_id=manifest.job,
        attempt=manifest.attempt,
        kind=manifest.kind,
        title=manifest.title,
        bytes=sum(entry.bytes for entry in manifest.files),
        created_at=manifest.ended.isoformat(),
    )
