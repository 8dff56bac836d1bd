"""Collecting what nothing refers to any more: to the trash first, deleted a day later.

Runs alone: publishers hold the same lock shared from their first file to the commit that refers to it.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from interp_lab.artifacts.locks import hold_lock, is_locked
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_job_id
from interp_lab.errors import LabError

TRASH_AGE_S = 24 * 3600.0
DRAFT_AGE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection did."""

    manifests: int
    blobs: int
    drafts: int
    deleted: int


def collect(paths: WorkspacePaths, store: ArtifactStore, published: Callable[[], Iterable[str]]) -> Collected:
    """Move unreferenced manifests and contents to the trash, remove dead attempts' drafts, empty old trash.

    `published()` returns the ids of the artifacts to keep; it is asked once no publisher is at work.
    """
    with hold_lock(paths.gc_lock, shared=False):
        keep = set(published())
        manifests = _trash((paths.artifact(id_) for id_ in store.ids() if id_ not in keep), paths)
        used = _used_blobs(store, keep)
        blobs = _trash(None if used is None else _unused(paths, used), paths)
        return Collected(manifests, blobs, _drop_drafts(paths), _empty_trash(paths))


def _used_blobs(store: ArtifactStore, keep: set[str]) -> set[str] | None:
    """Return the hashes that kept artifacts need, or None when a manifest cannot be read and so nothing is safe."""
    used: set[str] = set()
    for artifact_id in keep:
        try:
            used.update(entry.sha256 for entry in store.manifest(artifact_id).files)
        except LabError:
            return None
    return used


def _unused(paths: WorkspacePaths, used: set[str]) -> list[Path]:
    return [blob for blob in paths.blobs.glob("??/*") if blob.name not in used]


def _trash(victims: Iterable[Path] | None, paths: WorkspacePaths) -> int:
    count = 0
    for victim in list(victims or ()):
        bin_ = paths.trash / f"{int(time.time())}-{secrets.token_hex(6)}"
        with suppress(OSError):
            bin_.mkdir()
            victim.replace(bin_ / victim.name)
            count += 1
    return count


def _drop_drafts(paths: WorkspacePaths) -> int:
    """Remove staging folders whose job has no live process; young ones may belong to one that is just starting."""
    count = 0
    for folder in paths.tmp.iterdir():
        job_id = folder.name.partition("-")[0]
        if is_job_id(job_id) and _age(folder) > DRAFT_AGE_S and not is_locked(paths.run_lock(job_id)):
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def _empty_trash(paths: WorkspacePaths) -> int:
    count = 0
    for bin_ in paths.trash.iterdir():
        if _age(bin_) > TRASH_AGE_S:
            shutil.rmtree(bin_, ignore_errors=True)
            count += 1
    return count


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0
