"""job_list: the jobs of this workspace."""

from __future__ import annotations

from collections import Counter

from interp_lab.contracts.operations import JobListRequest, JobListResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import job_entry


def _handle(request: JobListRequest, lab: Lab) -> JobListResult:
    lab.engine.tick()
    page = lab.engine.list_jobs(states=request.states, limit=request.limit, cursor=request.cursor)
    entries = tuple(job_entry(lab, job) for job in page.items)
    counts = Counter(entry.state for entry in entries)
    listed = ", ".join(f"{n} {state}" for state, n in counts.most_common()) or "none"
    more = "; more with next_cursor" if page.next_cursor else ""
    return JobListResult(summary=f"Jobs on this page: {listed}{more}.", jobs=entries, next_cursor=page.next_cursor)


JOB_LIST = InlineCapability(
    name="job_list",
    title="List jobs",
    guidance=(
        "Lists the jobs of this workspace, newest first, also those of other sessions. For a short form call "
        "lab_overview; for one job call job_wait."
    ),
    request=JobListRequest,
    result=JobListResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="ops",
    example={"states": ["running", "queued"], "limit": 10},
)
