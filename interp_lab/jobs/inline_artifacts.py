"""Artifacts that are made while the caller waits, by no job: staged, published and catalogued like any other."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import ArtifactWriter, Origin, Sealed
from interp_lab.errors import QuotaExceeded
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.ledger import insert_artifact
from interp_lab.settings import Settings


class InlinePublisher:
    """Publishes artifacts of no job in one workspace."""

    def __init__(self, settings: Settings, paths: WorkspacePaths, *, catalog: Catalog, store: ArtifactStore) -> None:
        self._settings = settings
        self._paths = paths
        self._catalog = catalog
        self._store = store

    @contextmanager
    def artifact(self, kind: str, title: str, origin: Origin) -> Generator[ArtifactWriter]:
        """Write an artifact in the block; when it is left without an error, the artifact is public.

        Raises:
            QuotaExceeded: The workspace is full.
            DiskFull: The disk is.
        """
        self._require_room()
        sealed: list[Sealed] = []
        # Named like an attempt's folder, so that the collector finds what a killed process left.
        staging = self._paths.staging(secrets.token_hex(16), 0)
        with ArtifactWriter(staging, kind, title, origin=lambda: origin, on_seal=sealed.append) as writer:
            yield writer
        with self._store.publishing():
            self._store.publish(sealed)
            with self._catalog.write() as db:
                for item in sealed:
                    insert_artifact(db, item.manifest)
        staging.rmdir()

    def _require_room(self) -> None:
        quota = self._settings.quota_bytes
        with self._catalog.read() as db:
            used: int = db.one("published_bytes")[0]
        if quota is not None and used >= quota:
            raise QuotaExceeded(f"Artifacts use {used} of {quota} bytes.")
