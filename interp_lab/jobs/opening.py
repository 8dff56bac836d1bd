"""Opening a workspace's catalogue: local disk only, checked after an unclean end, migrated, rebuilt when damaged."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from interp_lab.artifacts.space import take_ballast
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import CatalogCorrupt
from interp_lab.jobs.catalog import Catalog, connect, typed_errors
from interp_lab.jobs.filesystem import refuse_network
from interp_lab.jobs.launcher import Launcher
from interp_lab.jobs.migrate import migrate
from interp_lab.jobs.rebuild import rebuild
from interp_lab.settings import Settings

_ALWAYS_CHECK_BYTES = 4 * 2**20
"""Below this size the full check is so quick that it is done at every start."""


class OpenCatalog:
    """The catalogue, open; holds a shared lock as long as it is, so that the last one out can mark a clean end."""

    def __init__(self, settings: Settings, paths: WorkspacePaths, store: ArtifactStore, *, launcher: Launcher) -> None:
        refuse_network(settings.catalog_dir or settings.workspace)
        paths.prepare()
        self._paths = paths
        self._store = store
        self._launcher = launcher
        self._unclean = paths.catalog_dir / "catalog.open"
        guard = _guard(paths)
        self._fd = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise
        take_ballast(paths, settings.ballast_bytes)
        self.catalog = reach_catalog(paths)

    def close(self) -> None:
        """Let go; the last one out notes that the end was clean."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._unclean.unlink(missing_ok=True)
        os.close(fd)

    def _settle(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        if alone:
            if self._is_damaged():
                self._start_over()
            self._unclean.touch()
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        migrate(self._paths.catalog)

    def _is_damaged(self) -> bool:
        """Return whether the catalogue must be rebuilt: it fails its own check, or is empty while there are jobs."""
        path = self._paths.catalog
        if not path.exists():
            return self._has_jobs()
        small = path.stat().st_size < _ALWAYS_CHECK_BYTES
        if not small and not self._unclean.exists():
            return False
        try:
            with typed_errors(path), closing(connect(path)) as connection:
                # SQLite takes a file that was cut to nothing for a new database.
                empty = connection.execute("PRAGMA application_id").fetchone()[0] == 0
                return (empty and self._has_jobs()) or not _is_sound(connection, full=small)
        except CatalogCorrupt:
            return True

    def _has_jobs(self) -> bool:
        return any(self._paths.jobs.iterdir())

    def _start_over(self) -> None:
        """Set the damaged catalogue aside, journal included, and build a new one from the files."""
        path = self._paths.catalog
        mark = secrets.token_hex(4)
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).replace(path.with_name(f"catalog.damaged-{mark}.sqlite{suffix}"))
        rebuild(self._paths, self._store, self._launcher)


def reach_catalog(paths: WorkspacePaths) -> Catalog:
    """Return the catalogue of a workspace that a server has opened; a worker needs no more than this."""
    return Catalog(paths.catalog, guard=_guard(paths))


def _guard(paths: WorkspacePaths) -> Path:
    return paths.catalog_dir / "catalog.lock"


def _is_sound(connection: sqlite3.Connection, *, full: bool) -> bool:
    check = "integrity_check" if full else "quick_check"
    verdict: str = connection.execute(f"PRAGMA {check}(1)").fetchone()[0]
    return verdict == "ok" and not connection.execute("PRAGMA foreign_key_check").fetchall()
