"""artifact_list: what has been written in this workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.actions import NextAction
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
        agent_next_actions=tuple(_next(request, page.items, page.next_cursor)),
        summary=f"{len(page.items)} artifacts on this page, newest first{more}.",
        artifacts=tuple(artifact_ref(lab, manifest) for manifest in page.items),
        next_cursor=page.next_cursor,
    )


def _next(request: ArtifactListRequest, found: Sequence[Manifest], cursor: str | None) -> Iterator[NextAction]:
    if cursor is not None:
        again = request.model_dump(mode="json", exclude_defaults=True) | {"cursor": cursor}
        yield NextAction(tool="artifact_list", arguments=again, why="Read the next page.")
    for manifest in found[:1]:
        yield NextAction(
            tool="artifact_read", arguments={"artifact_id": manifest.id}, why="See the files of the latest."
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
    changes="Nothing; it says what was written.",
    example={"kind": "inspect_report", "limit": 5},
)
