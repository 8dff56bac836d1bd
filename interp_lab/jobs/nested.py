"""A run inside another, or in a test: its artifacts are published in a workspace, without engine or catalogue."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import Sealed
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings


class NestedRun(LocalRun):
    """A run whose artifacts other runs of the workspace can name, and which stops when the outer one does."""

    def __init__(self, settings: Settings, number: int, stop: Callable[[], None]) -> None:
        paths = WorkspacePaths.of(settings)
        paths.prepare()
        super().__init__(paths.tmp / f"run-{number}", workspace=settings.workspace)
        self._store, self._stop = ArtifactStore(paths), stop
        self.published: list[str] = []
        """Ids of the artifacts, in order."""

    def check(self) -> None:
        """Stop when the outer run does."""
        self._stop()

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Write to the log; see `check`."""
        self._stop()
        super().progress(done, total, message, unit)

    def _sealed(self, artifact: Sealed) -> None:
        with self._store.publishing():
            self._store.publish([artifact])
        self.published.append(artifact.manifest.id)
