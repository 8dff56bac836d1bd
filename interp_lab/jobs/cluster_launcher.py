"""Jobs on a cluster: an attendant on this machine holds each one's locks while its parts run elsewhere.

The catalogue, the slots and the life-signs therefore work as for a local job, on a disk where locks can be trusted.
An attendant that dies takes nothing with it: the next one takes up the parts where they are.
"""

from __future__ import annotations

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.launcher import Launcher, LocalLauncher
from interp_lab.jobs.ledger import Attempt
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.jobs.places.choose import place_for
from interp_lab.settings import Settings


class ClusterLauncher(LocalLauncher):
    """Attendants as processes of this machine, their parts wherever the settings say."""

    def __init__(self, settings: Settings, paths: WorkspacePaths) -> None:
        super().__init__(settings, paths)
        self._where = (settings, paths)

    def cancel(self, attempt: Attempt, *, force: bool) -> bool:
        """End the attendant; of a job that was cancelled also the parts, which would be taken up again otherwise."""
        none_left = super().cancel(attempt, force=force)
        settings, paths = self._where
        folder = JobFolder(paths, attempt.job_id)
        if force and folder.cancel_flag.exists() and (handles := _under_way(folder)):
            place = place_for(settings, paths, slot="cpu-0")
            for handle in handles:
                place.stop(handle, force=True)
        return none_left


def launcher_for(settings: Settings, paths: WorkspacePaths) -> Launcher:
    """Return the launcher that the operator chose."""
    return (LocalLauncher if settings.launcher == "local" else ClusterLauncher)(settings, paths)


def _under_way(folder: JobFolder) -> list[str]:
    """Return the handles of the parts that have not said how they ended."""
    paths = sorted(folder.parts.iterdir()) if folder.parts.is_dir() else []
    parts = [PartFolder(folder.parts, PartName.parse(path.name)) for path in paths]
    handles = [part.read_start().handle for part in parts if part.read_outcome() is None]
    return [handle for handle in handles if handle is not None]
