"""The catalogue, made again from the files of the jobs and artifacts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from interp_lab.artifacts.canonical import sha256_hex
from interp_lab.artifacts.durable import fsync_directory
from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_job_id
from interp_lab.contracts.jobs import JobState
from interp_lab.errors import ArtifactCorrupt, ArtifactTooNew, JobFilesCorrupt, UnknownArtifact
from interp_lab.jobs.catalog import Catalog, Transaction
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Launcher
from interp_lab.jobs.ledger import actor, insert_artifact
from interp_lab.jobs.migrate import migrate
from interp_lab.jobs.spec import StoredSpec
from interp_lab.jobs.submit import row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a job's files say about it."""

    stored: StoredSpec
    spec_sha256: str
    state: JobState
    attempt: int
    slot: str | None = None
    cancel: bool = False
    error: dict[str, Any] | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_s: float | None = None
    result_sha256: str | None = None
    manifests: tuple[Manifest, ...] = ()


def rebuild(paths: WorkspacePaths, store: ArtifactStore, launcher: Launcher) -> int:
    """Write a new catalogue from the job files and return how many jobs it holds.

    The caller holds the catalogue's lock exclusively. Live processes are taken back, finished work is published
    again, everything else goes back to the queue. A job whose spec.json cannot be read is left out.
    """
    found = _without_orphans(_read_all(paths, store, launcher))
    draft = paths.catalog.with_name(f"rebuild-{secrets.token_hex(6)}.tmp")
    try:
        migrate(draft)
        with Catalog(draft, guard=None).write() as db:
            for job in found:
                _restore(db, job)
            for manifest in _without_job(store):
                insert_artifact(db, manifest)
        draft.replace(paths.catalog)
        fsync_directory(paths.catalog.parent)
    finally:
        draft.unlink(missing_ok=True)
    return len(found)


def _read_all(paths: WorkspacePaths, store: ArtifactStore, launcher: Launcher) -> list[_Found]:
    found: list[_Found] = []
    for path in paths.jobs.iterdir():
        if is_job_id(path.name):
            with suppress(JobFilesCorrupt):
                found.append(_read(JobFolder(paths, path.name), store, launcher))
    return sorted(found, key=lambda job: (job.stored.created_at, job.stored.id))


def _without_job(store: ArtifactStore) -> list[Manifest]:
    """Return the whole artifacts that no job made, oldest first."""
    manifests: list[Manifest] = []
    for artifact_id in store.ids():
        with suppress(ArtifactCorrupt, UnknownArtifact, ArtifactTooNew):
            manifests.append(store.open(artifact_id))
    return sorted((each for each in manifests if each.job is None), key=lambda each: (each.ended, each.id))


def _without_orphans(found: Sequence[_Found]) -> list[_Found]:
    """Drop never-started jobs whose client key names another one: their submission was never acknowledged."""
    owners: dict[str, _Found] = {}
    for job in found:
        key = job.stored.key
        if key not in owners or (owners[key].attempt == 0 and job.attempt > 0):
            owners[key] = job
    return [j for j in found if owners[j.stored.key] is j or j.attempt > 0 or not j.stored.key.startswith("client:")]


def _read(folder: JobFolder, store: ArtifactStore, launcher: Launcher) -> _Found:
    stored = folder.read_spec(None)
    digest = sha256_hex((folder.path / "spec.json").read_bytes())
    claim = folder.read_claim() or {}
    attempt = int(claim.get("attempt", 0))
    cancel = folder.cancel_flag.exists()
    ended = folder.read_ended() or {}
    found = _Found(
        stored=stored,
        spec_sha256=digest,
        state="queued",
        attempt=attempt,
        started_at=ended.get("started_at"),
        ended_at=ended.get("ended_at"),
        duration_s=ended.get("duration_s"),
    )
    alive = launcher.adopt(folder.job_id)
    if alive is not None:
        begun = (folder.read_progress() or {}).get("attempt") == alive.number
        return replace(found, state="running" if begun else "starting", slot=claim["slot"], cancel=cancel)
    if cancel or ended.get("state") == "cancelled":
        return replace(found, state="cancelled", cancel=True)
    if ended.get("state") == "failed":
        return replace(found, state="failed", error=ended.get("error"))
    try:
        manifests = _published(folder, store, attempt)
    except (JobFilesCorrupt, ArtifactCorrupt, UnknownArtifact, ArtifactTooNew, KeyError):
        return found
    return replace(found, state="succeeded", result_sha256=folder.result_hash(), manifests=manifests)


def _published(folder: JobFolder, store: ArtifactStore, attempt: int) -> tuple[Manifest, ...]:
    result = folder.read_result(None)
    if result["attempt"] != attempt:
        raise JobFilesCorrupt(f"The result of job {folder.job_id} is not from its last attempt.")
    return tuple(store.open(artifact_id) for artifact_id in result["artifacts"])


def _restore(db: Transaction, job: _Found) -> None:
    db.run(
        "restore_job",
        **row_of(job.stored),
        spec_sha256=job.spec_sha256,
        state=job.state,
        attempt=job.attempt,
        slot=job.slot,
        cancel=int(job.cancel),
        crashes=0,
        started_at=job.started_at,
        ended_at=job.ended_at,
        duration_s=job.duration_s,
        error=None if job.error is None else json.dumps(job.error),
        result_sha256=job.result_sha256,
    )
    spec = job.stored.spec
    db.run("put_key", key=job.stored.key, body_sha256=spec.body_hash(), job_id=job.stored.id)
    db.run("insert_event", id=job.stored.id, at=job.stored.created_at, kind="restored", actor=actor(), detail="")
    if job.slot is not None:
        db.run("insert_attempt", id=job.stored.id, at=job.stored.created_at, actor=actor())
    for manifest in job.manifests:
        insert_artifact(db, manifest)
