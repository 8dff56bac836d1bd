"""How a long-running piece of work looks from outside."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, JsonValue, NonNegativeFloat, NonNegativeInt, StringConstraints

from interp_lab.contracts.base import Contract
from interp_lab.contracts.results import Result

JobState = Literal["queued", "starting", "running", "interrupted", "succeeded", "failed", "cancelled"]
"""interrupted: stopped from outside at a checkpoint and waiting to go on; never final."""

ViewState = Literal[JobState, "planned"]
"""planned: a dry run; everything was checked and nothing was started."""

FINAL_STATES: frozenset[JobState] = frozenset({"succeeded", "failed", "cancelled"})

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""32 hexadecimal digits, as another answer gave them."""

RequestKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class JobProgress(Contract):
    """How far a job has come."""

    done: NonNegativeFloat
    """Units done."""
    total: NonNegativeFloat | None = None
    """Units in all, if known."""
    unit: str = ""
    """What is counted."""
    message: str = ""
    """What is being done."""
    eta_s: NonNegativeFloat | None = None
    """Estimated seconds to the end of what the message names, from its rate so far; later steps come on top."""


class JobFailure(Contract):
    """Why a job failed: what was wrong and what would work."""

    code: str
    """Stable code; docs/errors.md lists them."""
    what: str
    """What was wrong."""
    remedy: str
    """What would work."""


class JobView(Result):
    """A job's handle and, once it has succeeded, its result; or, for a dry run, its plan."""

    job_id: JobId | None = None
    """Handle for job_wait and the other job tools; kept until the workspace is deleted. Absent for a dry run."""
    capability: str
    """What is being done."""
    state: ViewState
    """How it stands; succeeded, failed and cancelled are final."""
    resource: str | None = None
    """Resource URI of the job; it notifies on every change."""
    attempt: NonNegativeInt = 0
    """How often it has been started; over 1 after an interruption or a crash."""
    progress: JobProgress | None = None
    """How far it is."""
    created_at: AwareDatetime | None = None
    """When it was accepted."""
    started_at: AwareDatetime | None = None
    """When it started to run."""
    ended_at: AwareDatetime | None = None
    """When it ended."""
    stalled: bool = False
    """No progress for much longer than its own pace; it is still alive."""
    error: JobFailure | None = None
    """Why it failed."""
    log_tail: str | None = None
    """End of the log of a job that failed (untrusted text)."""
    result: dict[str, JsonValue] | None = None
    """The capability's own fields, present when state is 'succeeded'."""
    plan: dict[str, JsonValue] | None = None
    """What the run would do and cost, present for a dry run."""


class JobRequest(Contract):
    """What every request for long-running work can say about how it is run."""

    dry_run: bool = False
    """Check everything, say what it would cost, start nothing."""
    wait_s: Annotated[FiniteFloat, Field(ge=0, le=45)] = 20.0
    """Seconds to wait before the handle is returned; the job goes on."""
    request_key: RequestKey | None = None
    """A repeated key returns the same job, should an answer be lost."""


RUN_CONTROLS = frozenset({"dry_run", "wait_s", "request_key", "plan_id"})
"""Fields of requests for long-running work that do not change what is computed."""
