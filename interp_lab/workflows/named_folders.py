"""From what a request names to a readable folder: an artifact of the right kind, or a folder of the workspace."""

from __future__ import annotations

from pathlib import Path

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.errors import InvalidDictionary, RequestError, WrongArtifact
from interp_lab.settings import Settings


def named_folder(name: str, kind: str, settings: Settings, *, refusal: type[RequestError]) -> Path:
    """Return the folder that a request names; of an artifact, every byte is checked.

    Raises:
        RequestError: The artifact is of another kind; of the class `refusal`, or WrongArtifact where that is one.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    if not is_artifact_id(name):
        return resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder")
    artifacts = ArtifactStore(WorkspacePaths.of(settings))
    found = artifacts.open(name).kind
    if issubclass(WrongArtifact, refusal):
        artifacts.open_as(name, kind)
    elif found != kind:
        raise refusal(f"Artifact {name} is of kind {found!r}, not {kind!r}.")
    return artifacts.checked_folder(name)


def dictionary_folder(name: str, settings: Settings) -> Path:
    """Return the folder of a dictionary in the SAELens layout; see `named_folder`, refusing with InvalidDictionary."""
    return named_folder(name, DICTIONARY_KIND, settings, refusal=InvalidDictionary)
