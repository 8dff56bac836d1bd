"""From what a request names to a folder: an artifact of the right kind, or a folder of the workspace."""

from __future__ import annotations

from pathlib import Path

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.store import STORE_KIND
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.errors import InvalidDictionary, NotAStore
from interp_lab.settings import Settings


def store_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a store.

    Raises:
        NotAStore: The artifact is of another kind.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    kind, folder = _folder(name, settings)
    if kind not in {None, STORE_KIND}:
        raise NotAStore(f"Artifact {name} is a {kind}, not an activation store.")
    return folder


def dictionary_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a dictionary in the SAELens layout.

    Raises:
        InvalidDictionary: The artifact is of another kind.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    kind, folder = _folder(name, settings)
    if kind not in {None, DICTIONARY_KIND}:
        raise InvalidDictionary(f"Artifact {name} is a {kind}, not a dictionary.")
    return folder


def _folder(name: str, settings: Settings) -> tuple[str | None, Path]:
    if not is_artifact_id(name):
        return None, resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder")
    artifacts = ArtifactStore(WorkspacePaths.of(settings))
    manifest = artifacts.open(name)
    return manifest.kind, settings.workspace.resolve() / artifacts.relative_folder(name)
