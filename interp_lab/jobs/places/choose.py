"""The place that the operator's settings name."""

from __future__ import annotations

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.places.base import Place
from interp_lab.jobs.places.local import LocalPlace
from interp_lab.settings import Settings


def place_for(settings: Settings, paths: WorkspacePaths, *, slot: str) -> Place:
    """Return where the parts of a job that holds `slot` run."""
    return LocalPlace(settings, paths, slot=slot)
