"""job_list: the jobs of this workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.operations import JobListRequest, JobListResult
from interp_lab.contracts.overview import JobEntry
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
    return JobListResult(
        summary=f"Jobs on this page: {listed}{more}.",
        agent_next_actions=tuple(_next(request, entries, page.next_cursor)),
        jobs=entries,
        next_cursor=page.next_cursor,
    )


def _next(request: JobListRequest, entries: tuple[JobEntry, ...], cursor: str | None) -> Iterator[NextAction]:
    if cursor is not None:
        again = request.model_dump(mode="json", exclude_defaults=True) | {"cursor": cursor}
        yield NextAction(tool="job_list", arguments=again, why="Read the next page.")
    for entry in entries[:1]:
        at_once: dict[str, JsonValue] = {"job_id": entry.job_id, "wait_s": 0}
        yield NextAction(tool="job_wait", arguments=at_once, why="See the latest job with its result.")


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
    changes="Nothing; it says what runs.",
    example={"states": ["running", "queued"], "limit": 10},
)
