"""Job rows and artifact manifests as an agent sees them: a quotable line and the calls that make sense now."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.artifacts import ArtifactFile, ArtifactRef, artifact_uri, job_uri
from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobProgress, JobRequest, JobView
from interp_lab.contracts.overview import JobEntry
from interp_lab.contracts.results import Result
from interp_lab.errors import JobFilesCorrupt
from interp_lab.jobs.job import Job
from interp_lab_tools.capability import Plan
from interp_lab_tools.lab import Lab

MAX_ACTIONS = 3
LOG_TAIL_BYTES = 1500
_SHARED_FIELDS = frozenset(Result.model_fields)


def job_view(lab: Lab, job_id: str) -> JobView:
    """Return the job as it stands now, with its result if it has one."""
    job = lab.engine.get(job_id)
    result = lab.engine.result(job_id) if job.state == "succeeded" else None
    artifacts = tuple(artifact_ref(lab, manifest) for manifest in lab.engine.artifacts_of(job_id))
    return JobView(
        summary=_summary(job, result),
        warnings=tuple(dict.fromkeys((*_planned_warnings(lab, job_id), *(result or {}).get("warnings", ())))),
        artifacts=tuple(map(_in_short, artifacts)),
        agent_next_actions=_actions(lab, job, result, artifacts),
        job_id=job.id,
        capability=job.capability,
        state=job.state,
        resource=job_uri(job.id),
        attempt=job.attempt,
        progress=_progress(lab, job),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        stalled=job.stalled,
        error=job.error,
        log_tail=lab.engine.logs(job_id, max_bytes=LOG_TAIL_BYTES).text if job.state == "failed" else None,
        result=None if result is None else {k: v for k, v in result.items() if k not in _SHARED_FIELDS},
    )


def _planned_warnings(lab: Lab, job_id: str) -> tuple[str, ...]:
    try:
        return tuple(lab.engine.spec(job_id).warnings)
    except JobFilesCorrupt:
        return ()  # the job's own state says that its files are damaged


def job_entry(lab: Lab, job: Job) -> JobEntry:
    """Return the job in one line."""
    return JobEntry(
        job_id=job.id,
        capability=job.capability,
        label=job.label,
        state=job.state,
        progress=_progress(lab, job),
    )


def _progress(lab: Lab, job: Job) -> JobProgress | None:
    """Return how far a job is; nothing once it has succeeded, when its last line is about a step that is over."""
    return None if job.state == "succeeded" else lab.engine.progress(job.id)


def plan_view(capability: str, request: JobRequest, plan: Plan) -> JobView:
    """Return the answer to a dry run: the plan, and the call that would carry it out."""
    arguments = {name: value for name, value in as_said(request).items() if name != "dry_run"}
    if type(request).model_fields["dry_run"].default:
        arguments["dry_run"] = False
    if "plan_id" in type(request).model_fields:
        arguments["plan_id"] = plan.details["plan_id"]
    return JobView(
        summary=f"Dry run, nothing started. {plan.summary}",
        warnings=plan.warnings,
        agent_next_actions=(
            NextAction(tool=capability, arguments=arguments, why="Carry out this plan.", cost=plan.summary),
        ),
        capability=capability,
        state="planned",
        plan=dict(plan.details),
    )


def artifact_ref(lab: Lab, manifest: Manifest) -> ArtifactRef:
    """Return the reference to an artifact that answers carry."""
    artifact_id = manifest.id
    return ArtifactRef(
        id=artifact_id,
        kind=manifest.kind,
        title=manifest.title,
        uri=artifact_uri(artifact_id),
        job_id=manifest.job,
        created_at=manifest.ended,
        files=tuple(
            ArtifactFile(
                name=file.name,
                uri=artifact_uri(artifact_id, file.name),
                media_type=file.media_type,
                bytes=file.bytes,
                sha256=file.sha256,
            )
            for file in manifest.files
        ),
        path=lab.engine.artifacts.relative_folder(artifact_id),
    )


def _in_short(ref: ArtifactRef) -> ArtifactRef:
    """Return the reference with what tells its files apart: their URIs follow, and their hashes are read with them."""
    files = tuple(file.model_copy(update={"uri": None, "sha256": None}) for file in ref.files)
    return ref.model_copy(update={"files": files})


def _summary(job: Job, result: dict[str, Any] | None) -> str:
    if result is not None:
        return str(result["summary"])
    if job.error is not None:
        return f"{job.capability} failed: {job.error.what} {job.error.remedy}"
    words = {
        "queued": "is waiting for a free slot",
        "starting": "is starting",
        "running": "is running",
        "interrupted": "was interrupted and will go on from its checkpoint",
    }
    if job.state == "cancelled":
        return f"{job.capability} was cancelled (job {job.id}); nothing was published."
    if job.cancel_requested:
        return f"{job.capability} is being cancelled (job {job.id}); it ends without a result within seconds."
    return f"{job.capability} {words.get(job.state, job.state)} (job {job.id}); no result yet."


def _actions(
    lab: Lab, job: Job, result: dict[str, Any] | None, artifacts: tuple[ArtifactRef, ...]
) -> tuple[NextAction, ...]:
    if result is not None:
        own = [NextAction.model_validate(action) for action in result.get("agent_next_actions", ())]
        return tuple(
            [*_read_report(artifacts), *own, *_go_on_with(artifacts, encoded=job.capability == "encode_store")][
                :MAX_ACTIONS
            ]
        )
    if job.state in {"failed", "cancelled"}:
        if "ops" in lab.toolsets:
            return (_action("job_logs", "See what happened.", job_id=job.id),)
        return (_action("lab_overview", "See the limits and what else runs.", sections=["jobs", "limits"]),)
    if job.cancel_requested:
        return (_action("job_wait", "See that it has ended.", job_id=job.id),)
    return (
        _action("job_wait", "Wait for the end; it reports progress.", job_id=job.id),
        _action("job_cancel", "Stop it for good.", job_id=job.id),
    )


def _read_report(artifacts: tuple[ArtifactRef, ...]) -> list[NextAction]:
    for artifact in artifacts:
        for file in artifact.files:
            if file.media_type == "text/markdown":
                return [_action("artifact_read", "Read the report.", artifact_id=artifact.id, name=file.name)]
    return []


def _go_on_with(artifacts: tuple[ArtifactRef, ...], *, encoded: bool) -> list[NextAction]:
    """Return what a new store is for; a workflow cannot say so, because it does not know the id yet."""
    stores = [artifact.id for artifact in artifacts if artifact.kind == "activation_store"]
    if encoded and stores:
        overview = _action("query_activations", "See its columns.", store=stores[0], query={"kind": "overview"})
        rare: dict[str, JsonValue] = {"kind": "density", "at_most": 0.1}
        latents = _action("search_features", "Find latents that are active at times.", stores=[stores[0]], by=rare)
        return [overview, latents]
    dictionaries = [artifact.id for artifact in artifacts if artifact.kind == "dictionary"]
    if dictionaries and not stores:
        return [_action("show_feature", "See what its first latent promotes.", dictionary=dictionaries[0], unit=0)]
    return [
        action
        for store in stores[:1]
        for action in (
            _action("query_activations", "See what is in the store.", store=store, query={"kind": "overview"}),
            _action(
                "train_sae", "Train dictionaries on it; dry_run says the cost.", source=_store(store), dry_run=True
            ),
            _action("train_probe", "Train probes on every column.", store=store, target="score", dry_run=True),
        )
    ]


def as_said(request: Contract) -> dict[str, JsonValue]:
    """Return the arguments that ask for it, in as few words as can be."""
    return _with_kinds(request.model_dump(mode="json", exclude_defaults=True), request.model_dump(mode="json"))


def _with_kinds(said: dict[str, JsonValue], whole: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what was said with the kind of every record in it: unions are told apart by it, default or not."""
    found = dict(said)
    for name, value in said.items():
        full = whole.get(name)
        if isinstance(value, dict) and isinstance(full, dict):
            found[name] = ({"kind": full["kind"]} if "kind" in full else {}) | _with_kinds(value, full)
    return found


def _store(artifact_id: str) -> dict[str, JsonValue]:
    return {"kind": "store", "store": artifact_id}


def _action(tool: str, why: str, **arguments: JsonValue) -> NextAction:
    return NextAction(tool=tool, arguments=arguments, why=why)


def as_json(answer: Contract) -> dict[str, JsonValue]:
    """Return the JSON form of an answer, without fields that are null."""
    return answer.model_dump(mode="json", exclude_none=True)
