"""job_wait: wait for a job and see how far it is."""

from __future__ import annotations

from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.operations import JobWaitRequest
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import job_view


def _handle(request: JobWaitRequest, lab: Lab) -> JobView:
    return job_view(lab, request.job_id)


def _waits_for(request: JobWaitRequest) -> tuple[str, float]:
    return request.job_id, request.wait_s


JOB_WAIT = InlineCapability(
    name="job_wait",
    title="Wait for a job",
    guidance=(
        "Call it with a job_id from another answer to wait for the end, up to 45 s a call, with progress. Returns "
        "the final result once there is one, otherwise the job as it stands; call it again to go on waiting. "
        "Waiting or giving up never stops the job."
    ),
    request=JobWaitRequest,
    result=JobView,
    handler=_handle,
    waits_for=_waits_for,
    effects=Effects(read_only=True),
    toolset="core",
    changes="Nothing; the job goes on either way.",
    example={"job_id": "0" * 32, "wait_s": 20},
)
