"""Removing what an attempt wrote but did not get to publish."""

from __future__ import annotations

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.job import ACTIVE_STATES
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.ledger import Attempt


def discard_unpublished(paths: WorkspacePaths, catalog: Catalog, store: ArtifactStore, attempt: Attempt) -> bool:
    """Remove the attempt's unpublished files; return False, removing nothing, if it is not the job's live attempt.

    The caller holds the run lock, itself or as the attempt's own process.
    """
    folder = JobFolder(paths, attempt.job_id)
    with catalog.read() as db:
        row = db.one("get_job", id=attempt.job_id)
        if row is None or row["attempt"] != attempt.number or row["state"] not in ACTIVE_STATES:
            return False
    begun = folder.discard_attempt(attempt.number)
    with catalog.read() as db:
        unpublished = [id_ for id_ in begun if db.one("artifact_published", id=id_) is None]
    store.withdraw(unpublished)
    return True
