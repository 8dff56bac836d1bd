"""From an artifact id or a folder's name to an open store, and from a finished folder into an artifact.

Opening checks the manifest's hash, and every data file by name, size and recorded hash; hashing gigabytes again is
what `verify` and the artifact tools are for.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.artifacts.writer import ArtifactWriter
from interp_lab.contracts.store import STORE_KIND
from interp_lab.errors import ArtifactCorrupt, NotAStore
from interp_lab.settings import Settings
from interp_lab.store.manifest import manifest_at, read_manifest
from interp_lab.store.names import MANIFEST
from interp_lab.store.reader import ActivationStore, open_store


def open_named_store(name: str, settings: Settings) -> ActivationStore:
    """Return the store that a request names: that of an artifact id, or that in a folder of the workspace.

    Raises:
        UnknownArtifact, ArtifactCorrupt, ArtifactTooNew, NotAStore: see `open_store_artifact`.
        InvalidPath, PathOutsideWorkspace: The folder is not one that may be read.
        StoreUnfinished, StoreTooNew, StoreCorrupt: It cannot be read.
    """
    if is_artifact_id(name):
        return open_store_artifact(settings, name)
    return open_store(resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder"))


def open_store_artifact(settings: Settings, artifact_id: str) -> ActivationStore:
    """Return the activation store that was published under an id.

    Raises:
        UnknownArtifact: There is no artifact of that id.
        NotAStore: It is of another kind.
        ArtifactCorrupt, ArtifactTooNew, StoreCorrupt, StoreTooNew: It cannot be read.
    """
    paths = WorkspacePaths.of(settings)
    artifacts = ArtifactStore(paths)
    published = artifacts.open(artifact_id)
    if published.kind != STORE_KIND:
        raise NotAStore(f"Artifact {artifact_id} is of kind {published.kind!r}, not {STORE_KIND}.")
    manifest = manifest_at(artifacts.path_of(artifact_id, MANIFEST))
    blobs = {entry.name: (entry.sha256, entry.bytes) for entry in published.files}
    for file in manifest.files:
        blob = paths.blob(file.sha256)
        if blobs.get(file.name) != (file.sha256, file.bytes) or not _has_size(blob, file.bytes):
            raise ArtifactCorrupt(f"File {file.name!r} of artifact {artifact_id} is not what was published.")
    return ActivationStore(manifest, lambda name: paths.blob(blobs[name][0]))


def publish_store(folder: Path, artifact: ArtifactWriter) -> None:
    """Give every file of a finished store a name in an artifact; the folder stays, its bytes are shared if possible.

    Raises:
        StoreUnfinished, NotAStore, StoreCorrupt: The folder is not a finished store.
    """
    for name in (*(file.name for file in read_manifest(folder).files), MANIFEST):
        link_or_copy(folder / name, artifact.path(name))


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
