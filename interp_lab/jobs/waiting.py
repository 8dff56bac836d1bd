"""The jobs that wait for slots of this machine: what they need, and whether a free slot is theirs."""

from __future__ import annotations

from contextlib import suppress

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import JobFilesCorrupt, LabError
from interp_lab.jobs.catalog import Catalog
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.opening import reach_catalog
from interp_lab.jobs.spec import SlotKind, needed_slots
from interp_lab.settings import Settings


def slots_of(job_id: str, settings: Settings, paths: WorkspacePaths) -> int:
    """Return how many slots a job needs at once."""
    try:
        return needed_slots(JobFolder(paths, job_id).read_spec(None).spec, settings)
    except JobFilesCorrupt:
        return 1  # its worker says what is wrong


class Waiting:
    """Those of one kind, as seen by a job that has one slot and would use free ones for its shards."""

    def __init__(self, settings: Settings, paths: WorkspacePaths, kind: SlotKind) -> None:
        self._settings = settings
        self._paths = paths
        self._kind: SlotKind = kind
        self._n_slots = settings.gpu_slots if kind == "gpu" else settings.cpu_slots
        self._catalog: Catalog | None = None

    def claim_free_slots(self) -> bool:
        """Return whether slots that are free, or become so, are for a job that waits.

        Only the first of them counts, as when slots are given away. One that needs so many that it cannot start before
        this one ends is better served by an early end.
        """
        with suppress(LabError):
            if self._catalog is None:
                self._catalog = reach_catalog(self._paths)
            with self._catalog.read() as db:
                ids = [str(row["id"]) for row in db.all("waiting_of_kind", slot_kind=self._kind)]
            needed = (slots_of(job_id, self._settings, self._paths) for job_id in ids)
            first = next((n for n in needed if n <= self._n_slots), None)
            return first is not None and first < self._n_slots
        return False
