"""From what an export names to an open store."""

from __future__ import annotations

from collections.abc import Sequence

from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.store import STORE_KIND
from interp_lab.contracts.store_exchange import StoreExportRequest
from interp_lab.errors import ExportUnfit, NotAStore
from interp_lab.settings import Settings
from interp_lab.store.interchange.prompt_rows import context_of
from interp_lab.store.reader import ActivationStore, open_store


def named_store(name: str, settings: Settings) -> ActivationStore:
    """Return the store of that artifact id or workspace folder.

    Raises:
        UnknownArtifact, NotAStore: There is none of that id, or it is another kind of artifact.
        InvalidPath, PathOutsideWorkspace: The folder is not one that may be read.
        StoreUnfinished, StoreTooNew, StoreCorrupt: It cannot be read.
    """
    if not is_artifact_id(name):
        return open_store(resolve_input(settings.workspace, name, read_roots=settings.read_roots, kind="folder"))
    artifacts = ArtifactStore(WorkspacePaths.of(settings))
    manifest = artifacts.open(name)
    if manifest.kind != STORE_KIND:
        raise NotAStore(f"Artifact {name} is a {manifest.kind}, not an activation store.")
    return open_store(settings.workspace.resolve() / artifacts.relative_folder(name))


def chosen_columns(store: ActivationStore, request: StoreExportRequest) -> tuple[str, ...]:
    """Return the columns to write, checked against what the format can hold.

    Raises:
        UnknownColumn: The store has no such column.
        ExportUnfit: The format cannot hold these columns.
    """
    kinds = {key: store.column(key).kind for key in request.columns or store.keys}
    fits = {"delphi": "codes", "saelens": "dense"}.get(request.format)
    if not request.columns and fits is not None:
        kinds = {key: kind for key, kind in kinds.items() if kind == fits}
    wrong = [key for key, kind in kinds.items() if fits is not None and kind != fits]
    if wrong or not kinds or (request.format == "delphi" and len(kinds) > 1):
        raise ExportUnfit(
            f"{request.format} holds {'one column of codes' if fits == 'codes' else 'dense columns'}; "
            f"{_listed(wrong or tuple(kinds)) or 'this store has none'}."
        )
    if fits is not None:
        context_of(store, request.context_size)
    return tuple(kinds)


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys)[:300]
