"""A job as its catalogue row shows it, and the small records around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from interp_lab.contracts.jobs import FINAL_STATES, JobFailure, JobState
from interp_lab.jobs.spec import SlotKind

T = TypeVar("T")

ACTIVE_STATES: frozenset[JobState] = frozenset({"starting", "running"})
"""A process has been started for the job and has not been seen to end."""

EventKind = Literal[
    "submitted",
    "claimed",
    "started",
    "cancel_requested",
    "crashed",
    "start_failed",
    "interrupted",
    "succeeded",
    "failed",
    "cancelled",
    "restored",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stands."""

    id: str
    """32 hexadecimal digits, random."""
    seq: int
    """Order of submission in this workspace."""
    capability: str
    label: str
    state: JobState
    attempt: int
    priority: int
    slot_kind: SlotKind
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    """Seconds that the last attempt ran, by a clock that does not jump."""
    error: JobFailure | None
    crashes: int
    cancel_requested: bool
    resumes: str | None
    """Earlier job of the same request whose checkpoint this one continues."""
    stalled: bool = False
    """Alive, but without progress for much longer than its own pace."""

    @property
    def final(self) -> bool:
        """Whether the state will never change again."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One transition of a job: the audit trail."""

    id: int
    attempt: int
    at: datetime
    kind: str
    actor: str
    """Host and process that wrote it."""
    detail: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Part of a job's log."""

    data: bytes
    offset: int
    """Position of the first byte in everything that was ever logged."""
    next_offset: int
    total: int
    dropped: int = 0
    """Bytes before `next_offset` that were dropped from the middle of a log over its cap."""

    @property
    def text(self) -> str:
        """The bytes as text; what is not UTF-8 shows as a replacement character."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest first."""

    items: tuple[T, ...]
    next_cursor: str | None


def job_from_row(row: Any) -> Job:
    """Return the job that a row of the catalogue describes."""
    return Job(
        id=row["id"],
        seq=row["seq"],
        capability=row["capability"],
        label=row["label"],
        state=row["state"],
        attempt=row["attempt"],
        priority=row["priority"],
        slot_kind=row["slot_kind"],
        created_at=datetime.fromisoformat(row["created_at"]),
        started_at=_time(row["started_at"]),
        ended_at=_time(row["ended_at"]),
        duration_s=row["duration_s"],
        error=None if row["error"] is None else JobFailure(**json.loads(row["error"])),
        crashes=row["crashes"],
        cancel_requested=bool(row["cancel"]),
        resumes=row["resumes"],
    )


def event_from_row(row: Any) -> JobEvent:
    """Return the transition that a row of the audit trail describes."""
    return JobEvent(
        id=row["id"],
        attempt=row["attempt"],
        at=datetime.fromisoformat(row["at"]),
        kind=row["kind"],
        actor=row["actor"],
        detail=row["detail"],
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
