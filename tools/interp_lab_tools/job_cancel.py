"""job_cancel: stop a job for good."""

from __future__ import annotations

from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.operations import JobCancelRequest
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import job_view


def _handle(request: JobCancelRequest, lab: Lab) -> JobView:
    lab.engine.cancel(request.job_id)
    lab.engine.tick()
    return job_view(lab, request.job_id)


JOB_CANCEL = InlineCapability(
    name="job_cancel",
    title="Cancel a job",
    guidance=(
        "Stops a queued or running job for good; what it had computed is thrown away and nothing is published. "
        "Calling it twice, or on a job that has already ended, changes nothing and returns the job as it is. A "
        "running job takes up to ten seconds to stop: job_wait shows the end."
    ),
    request=JobCancelRequest,
    result=JobView,
    handler=_handle,
    effects=Effects(read_only=False, destructive=True, idempotent=True),
    toolset="core",
    changes="The job ends without a result.",
    example={"job_id": "0" * 32},
)
