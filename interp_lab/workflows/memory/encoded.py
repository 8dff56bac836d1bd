"""Which dictionary stands behind the columns of a store that a run ranked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.paths import resolve_input
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.inspect_evidence import RankedArgument, StoreEvidence
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.store.manifest import manifest_at
from interp_lab.store.names import MANIFEST

_EVIDENCE: TypeAdapter[object] = TypeAdapter(RankedArgument)
_FILES = ("cfg.json", "sae_weights.safetensors")
"""What a dictionary's content hash is made of, in this order."""
_KNOWN = 1_000


def dictionaries_behind(
    request: Mapping[str, JsonValue], known: Iterable[Manifest], settings: Settings
) -> Mapping[str, str]:
    """Return the dictionary of each column of codes that the evidence of an inspect request has; none without a store.

    A store knows its dictionaries by their content; where an artifact of that content is `known`, that is its name. A
    latent is then one unit, whether a run read it from the model or from a store that was encoded before.
    """
    try:
        evidence = _EVIDENCE.validate_python(request.get("evidence"))
    except ValidationError:
        return {}
    if not isinstance(evidence, StoreEvidence):
        return {}
    try:
        find = _of_artifact if is_artifact_id(evidence.store) else _of_folder
        columns = find(evidence.store, settings)
    except LabError:
        return {}  # the store is gone: its columns keep their own names
    published = dict(_published(known)) if columns else {}
    return {key: published.get(dictionary, dictionary) for key, dictionary in columns.items()}


def _published(known: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    """Yield the content hash and the artifact of every dictionary."""
    for manifest in known:
        files = {entry.name: entry.sha256 for entry in manifest.files}
        if manifest.kind == DICTIONARY_KIND and set(_FILES) <= set(files):
            joined = b"".join(bytes.fromhex(files[name]) for name in _FILES)
            yield hashlib.sha256(joined).hexdigest(), manifest.id


def _of_artifact(store: str, settings: Settings) -> Mapping[str, str]:
    return _read(ArtifactStore(WorkspacePaths.of(settings)).path_of(store, MANIFEST))


def _of_folder(store: str, settings: Settings) -> Mapping[str, str]:
    folder = resolve_input(settings.workspace, store, read_roots=settings.read_roots, kind="folder")
    return _columns(folder / MANIFEST)


@lru_cache(maxsize=_KNOWN)
def _read(path: Path) -> Mapping[str, str]:
    """An artifact's file never changes."""
    return _columns(path)


def _columns(path: Path) -> Mapping[str, str]:
    columns = manifest_at(path).columns
    return {column.key: column.dictionary_id for column in columns if column.kind == "codes" and column.dictionary_id}
