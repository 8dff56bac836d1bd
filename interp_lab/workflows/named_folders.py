"""From what a request names to the folder of a dictionary: an artifact of that kind, or a folder of the workspace."""

from __future__ import annotations

from pathlib import Path

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.errors import InvalidDictionary
from interp_lab.settings import Settings


def dictionary_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a dictionary in the SAELens layout.

    Raises:
        InvalidDictionary: The artifact is of another kind.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    if not is_artifact_id(name):
        return resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder")
    artifacts = ArtifactStore(WorkspacePaths.of(settings))
    kind = artifacts.open(name).kind
    if kind != DICTIONARY_KIND:
        raise InvalidDictionary(f"Artifact {name} is a {kind}, not a dictionary.")
    return settings.workspace.resolve() / artifacts.relative_folder(name)
