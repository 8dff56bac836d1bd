"""Deciding whether a job is done by its own process or in parts, and having it done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.jobrun import JobRun
from interp_lab.jobs.parts.conduct import Conductor
from interp_lab.jobs.parts.program import Work
from interp_lab.jobs.places.choose import place_for
from interp_lab.jobs.run import Run
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings


def carry_out(work: Work, run: Run, settings: Settings) -> Mapping[str, Any]:
    """Return the result of a job: computed in this process, or in parts where shards or a cluster are asked for.

    Raises:
        LabError: Whatever the work or one of its parts failed with.
    """
    if not isinstance(run, JobRun):
        return work.whole(run)
    assert run.job_id is not None
    paths = WorkspacePaths.of(settings)
    folder = JobFolder(paths, run.job_id)
    slot = str((folder.read_claim() or {}).get("slot", "cpu-0"))
    if settings.launcher == "local" and work.n_shards == 1:
        return work.whole(run)
    place = place_for(settings, paths, slot=slot)
    kind: SlotKind = "gpu" if slot.startswith("gpu") else "cpu"
    return Conductor(run, folder, place, settings, slot=kind, processes=work.processes, nodes=work.nodes).finish()
