"""The place that the operator's settings name, and what it lacks."""

from __future__ import annotations

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.places import ray, slurm
from interp_lab.jobs.places.base import Place, Problem
from interp_lab.jobs.places.local import LocalPlace
from interp_lab.jobs.waiting import Waiting
from interp_lab.settings import Settings


def place_for(settings: Settings, paths: WorkspacePaths, *, slot: str) -> Place:
    """Return where the parts of a job that holds `slot` run."""
    if settings.launcher == "slurm":
        return slurm.SlurmPlace(settings)
    if settings.launcher == "ray":
        return ray.RayPlace(settings)
    waiting = Waiting(settings, paths, "gpu" if slot.startswith("gpu") else "cpu")
    return LocalPlace(settings, paths, slot=slot, claimed=waiting.claim_free_slots)


def problems_of(settings: Settings) -> tuple[Problem, ...]:
    """Return what keeps jobs from running where the settings say; empty is good."""
    if settings.launcher == "local":
        return ()
    return tuple((slurm if settings.launcher == "slurm" else ray).problems(settings))
