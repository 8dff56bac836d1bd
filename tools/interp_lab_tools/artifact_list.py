"""artifact_list: what has been written in this workspace."""

from __future__ import annotations

from interp_lab.contracts.operations import ArtifactListRequest, ArtifactListResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab
from interp_lab_tools.views import artifact_ref


def _handle(request: ArtifactListRequest, lab: Lab) -> ArtifactListResult:
    page = lab.engine.list_artifacts(
        kind=request.kind, job_id=request.job_id, limit=request.limit, cursor=request.cursor
    )
    more = "; more with next_cursor" if page.next_cursor else ""
    return ArtifactListResult(
        summary=f"{len(page.items)} artifacts on this page, newest first{more}.",
        artifacts=tuple(artifact_ref(lab, manifest) for manifest in page.items),
        next_cursor=page.next_cursor,
    )


ARTIFACT_LIST = InlineCapability(
    name="artifact_list",
    title="List artifacts",
    guidance=(
        "Lists what jobs have published in this workspace, newest first, by kind or by job. Read one with "
        "artifact_read. For a short form call lab_overview."
    ),
    request=ArtifactListRequest,
    result=ArtifactListResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="ops",
    example={"kind": "inspect_report", "limit": 5},
)
