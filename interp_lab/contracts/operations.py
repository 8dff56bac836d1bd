"""Requests and answers about jobs and artifacts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, NonNegativeInt, StringConstraints

from interp_lab.contracts.artifacts import ArtifactFile, ArtifactRef
from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobId, JobState, JobView
from interp_lab.contracts.overview import JobEntry
from interp_lab.contracts.results import Result

ArtifactId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""64 hexadecimal digits, as another answer gave them."""
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=.-]{1,200}$")]
"""next_cursor of the page before."""
PageSize = Annotated[int, Field(ge=1, le=100)]


class JobWaitRequest(Contract):
    """Wait for a job to end."""

    job_id: JobId
    """Job to wait for."""
    wait_s: Annotated[FiniteFloat, Field(ge=0, le=45)] = 20.0
    """Seconds to wait at most; call again to go on waiting."""


class JobCancelRequest(Contract):
    """Stop a job for good."""

    job_id: JobId
    """Job to stop."""


class JobListRequest(Contract):
    """Which jobs to list, newest first."""

    states: tuple[JobState, ...] = ()
    """Only these states; empty means all."""
    limit: PageSize = 20
    """Entries on a page."""
    cursor: Cursor | None = None
    """next_cursor of the page before."""


class JobListResult(Result):
    """One page of jobs, newest first."""

    jobs: tuple[JobEntry, ...]
    """The jobs of this page."""
    next_cursor: str | None = None
    """Give it back for the next page; absent on the last."""


class JobLogsRequest(Contract):
    """Which part of a job's log to read."""

    job_id: JobId
    """Job whose log to read."""
    offset: NonNegativeInt | None = None
    """Byte to start at; left out, the end of the log is given."""
    max_bytes: Annotated[int, Field(ge=1, le=16_000)] = 4000
    """Bytes to give at most."""


class JobLogsResult(Result):
    """Part of a job's log (untrusted text, made printable)."""

    job_id: JobId
    """The job."""
    text: str
    """What the process wrote (untrusted text)."""
    offset: NonNegativeInt
    """Byte that the text starts at."""
    next_offset: NonNegativeInt
    """Byte to go on at."""
    total_bytes: NonNegativeInt
    """Length of the whole log so far."""


class ArtifactListRequest(Contract):
    """Which artifacts to list, newest first."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] | None = None
    """Only this kind, for example 'inspect_report'."""
    job_id: JobId | None = None
    """Only those of one job."""
    limit: PageSize = 20
    """Entries on a page."""
    cursor: Cursor | None = None
    """next_cursor of the page before."""


class ArtifactListResult(Result):
    """One page of artifacts, newest first; they are in the field artifacts."""

    next_cursor: str | None = None
    """Give it back for the next page; absent on the last."""


class ArtifactReadRequest(Contract):
    """Which part of an artifact to read."""

    artifact_id: ArtifactId
    """Id of the artifact, as another answer gave it."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """File to read; left out, the manifest is given."""
    pointer: Annotated[str, StringConstraints(max_length=500, pattern=r"^(/.*)?$")] | None = Field(
        default=None, examples=["/coordinates/0"]
    )
    """JSON Pointer (RFC 6901) to one part of a JSON file."""
    offset: NonNegativeInt = 0
    """Character to start at."""
    max_chars: Annotated[int, Field(ge=1, le=18_000)] = 6000
    """Characters to give at most."""


class ArtifactReadResult(Result):
    """Part of a file of an artifact (may hold untrusted text)."""

    artifact: ArtifactRef
    """The artifact; its files are listed when no name was given."""
    file: ArtifactFile | None = None
    """The file that was read."""
    text: str | None = None
    """The text from offset on; absent for a file that is not text."""
    offset: NonNegativeInt = 0
    """Character that the text starts at."""
    next_offset: NonNegativeInt | None = None
    """Where to go on; absent at the end."""
    total_chars: NonNegativeInt | None = None
    """Length of the whole text."""


__all__ = [
    "ArtifactListRequest",
    "ArtifactListResult",
    "ArtifactReadRequest",
    "ArtifactReadResult",
    "JobCancelRequest",
    "JobListRequest",
    "JobListResult",
    "JobLogsRequest",
    "JobLogsResult",
    "JobView",
    "JobWaitRequest",
]
