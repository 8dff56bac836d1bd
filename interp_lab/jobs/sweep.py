"""Housekeeping of one workspace: what no catalogue row refers to goes."""

from __future__ import annotations

import shutil
import time

from interp_lab.artifacts.collect import DRAFT_AGE_S, Collected, collect
from interp_lab.artifacts.locks import is_locked
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_job_id
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.jobdir import JobFolder


def sweep(paths: WorkspacePaths, catalog: Catalog, store: ArtifactStore) -> Collected:
    """Collect unreferenced artifacts and drafts, and the folders of submissions that were never acknowledged.

    So goes what parts made for a job that has published, where its process was killed before it removed that itself.
    """
    _drop_orphans(paths, catalog)
    _drop_parts(paths, catalog)
    return collect(paths, store, lambda: _published(catalog))


def _published(catalog: Catalog) -> list[str]:
    with catalog.read() as db:
        return [row["id"] for row in db.all("published_artifacts")]


def _drop_parts(paths: WorkspacePaths, catalog: Catalog) -> None:
    left = [
        job
        for entry in paths.jobs.iterdir()
        if is_job_id(entry.name) and (job := JobFolder(paths, entry.name)).has_parts()
    ]
    with catalog.read() as db:
        rows = [(job, db.one("get_job", id=job.job_id)) for job in left]
    for job, row in rows:
        if row is not None and row["state"] == "succeeded":
            job.drop_parts()


def _drop_orphans(paths: WorkspacePaths, catalog: Catalog) -> None:
    old = [
        folder.name
        for folder in paths.jobs.iterdir()
        if is_job_id(folder.name) and time.time() - folder.stat().st_mtime > DRAFT_AGE_S
    ]
    with catalog.read() as db:
        orphans = [job_id for job_id in old if db.one("get_job", id=job_id) is None]
    for job_id in orphans:
        if not is_locked(paths.run_lock(job_id)):
            shutil.rmtree(paths.job(job_id), ignore_errors=True)
