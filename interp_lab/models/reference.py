"""From the model that a request names to the directory it means, confined to the workspace. Torch-free."""

from __future__ import annotations

import hashlib
from pathlib import Path

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.models import ModelRef
from interp_lab.errors import InvalidPath
from interp_lab.models.resolve import ModelSource, builtin_models, fetch_model, locate_model
from interp_lab.settings import Settings

_CONFIG = "config.json"
_DEPTH = 3


def locate(ref: ModelRef, settings: Settings) -> ModelSource | None:
    """Return where the model is, or None for a hub model that has not been fetched. No network.

    Raises:
        UnknownModel, PathOutsideWorkspace, InvalidPath, InvalidRequest: see `locate_model` and `resolve_input`.
    """
    return locate_model(ref.id, revision=ref.revision, local=_local(ref.id, settings))


def fetch(ref: ModelRef, settings: Settings) -> ModelSource:
    """Return where the model is, after fetching it from the hub if need be and allowed; see `fetch_model`."""
    return fetch_model(ref.id, revision=ref.revision, local=_local(ref.id, settings), offline=settings.offline)


def fingerprint(ref: ModelRef, settings: Settings) -> str:
    """Return what changes when the model's files do: the commit of a hub model, else names, sizes and times.

    Cheap enough for every request; the run itself records hashes of the contents. See `locate` for errors.
    """
    source = locate(ref, settings)
    if source is None:
        return f"{ref.id}@{ref.revision or 'main'}"
    if source.commit:
        return f"{ref.id}@{source.commit}"
    files = sorted(path for path in source.directory.iterdir() if path.is_file())
    stamps = [f"{path.name}:{(status := path.stat()).st_size}:{status.st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def known_models(settings: Settings) -> tuple[str, ...]:
    """Return the ids of the packaged models and of the model directories near the top of the workspace."""
    found = {
        path.parent.relative_to(settings.workspace).as_posix()
        for depth in range(1, _DEPTH + 1)
        for path in settings.workspace.glob("/".join(["[!.]*"] * depth + [_CONFIG]))
    }
    return (*(f"builtin:{name}" for name in builtin_models()), *sorted(found))


def _local(model_id: str, settings: Settings) -> Path | None:
    if model_id.startswith("builtin:"):
        return None
    try:
        return resolve_input(settings.workspace, model_id, read_roots=settings.read_roots, kind="folder")
    except InvalidPath:
        return None
