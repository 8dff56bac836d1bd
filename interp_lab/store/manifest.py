"""Reading and writing `store.json`: strictly, with the reason when a folder is not a whole store of a known version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.durable import write_durably
from interp_lab.artifacts.reading import read_json
from interp_lab.contracts.store import STORE_FORMAT, STORE_SCHEMA, StoreManifest
from interp_lab.errors import FileTooLarge, MalformedFile, NotAStore, StoreCorrupt, StoreTooNew, StoreUnfinished
from interp_lab.store.names import DRAFT, MANIFEST


def write_manifest(folder: Path, manifest: StoreManifest) -> None:
    """Write the manifest: from here on the folder is a store."""
    write_durably(folder / MANIFEST, readable_json(manifest.model_dump(mode="json")))


def read_manifest(folder: Path) -> StoreManifest:
    """Return the manifest of a folder; see `manifest_at` for errors.

    Raises:
        StoreUnfinished: The folder is still being written.
    """
    if not (folder / MANIFEST).is_file() and (folder / DRAFT).is_file():
        raise StoreUnfinished(f"The activation store in {folder.name!r} is not finished.")
    return manifest_at(folder / MANIFEST)


def manifest_at(path: Path) -> StoreManifest:
    """Return the manifest in a file.

    Raises:
        NotAStore: There is no such file, or it is another kind of document.
        StoreTooNew: A newer interp-lab wrote it.
        StoreCorrupt: It is damaged.
    """
    try:
        with path.open("rb") as file:
            raw = read_json(file, where="The manifest of the store")
    except OSError as error:
        raise NotAStore(f"{path.parent.name!r} has no readable {MANIFEST}: {error.strerror}.") from error
    except (MalformedFile, FileTooLarge) as error:
        raise StoreCorrupt(error.what) from error
    _require_known(raw)
    try:
        return StoreManifest.model_validate(raw)
    except ValidationError as error:
        raise StoreCorrupt(f"The manifest of the store is damaged: {_first_fault(error)}") from error


def _require_known(raw: JsonValue) -> None:
    fields: dict[str, Any] = raw if isinstance(raw, dict) else {}
    if fields.get("format") != STORE_FORMAT:
        raise NotAStore(f"{MANIFEST} is not the manifest of an activation store.")
    version = fields.get("schema_version")
    if isinstance(version, int) and version > STORE_SCHEMA:
        raise StoreTooNew(f"The store has layout {version}; this version reads up to {STORE_SCHEMA}.")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in fault["loc"]) or "as a whole"
    return f"{where}: {fault['msg']} ({error.error_count()} faults)."[:300]
