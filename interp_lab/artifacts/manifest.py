"""What an artifact is: a manifest that names its files by content hash; its own hash is the artifact's id."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, Literal

from pydantic import AwareDatetime, JsonValue, NonNegativeInt, ValidationError

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.contracts.base import Contract
from interp_lab.errors import ArtifactCorrupt, ArtifactTooNew

MANIFEST_SCHEMA = 1


class FileEntry(Contract):
    """One file of an artifact."""

    name: str
    sha256: str
    bytes: NonNegativeInt
    media_type: str


class Manifest(Contract):
    """An artifact: its files, and everything needed to know where they came from."""

    schema_version: Literal[1] = MANIFEST_SCHEMA
    kind: str
    title: str
    job: str | None
    """Job that made it; none for a run without an engine."""
    attempt: NonNegativeInt
    started: AwareDatetime
    """When the attempt began."""
    ended: AwareDatetime
    """When the last file was written."""
    files: tuple[FileEntry, ...]
    spec: dict[str, JsonValue]
    """Capability and request, as submitted."""
    inputs: dict[str, str]
    """Name → artifact id, model at revision, or content hash."""
    code_version: str
    package_versions: dict[str, str]
    device: str
    seeds: dict[str, int]
    metrics: dict[str, JsonValue]
    warnings: tuple[str, ...]

    @cached_property
    def canonical(self) -> bytes:
        """The bytes that are stored and hashed."""
        return canonical_json(self.model_dump(mode="json"))

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical manifest, 64 hexadecimal digits."""
        return sha256_hex(self.canonical)

    def file(self, name: str) -> FileEntry | None:
        """Return the entry of that name, or None."""
        return next((entry for entry in self.files if entry.name == name), None)


def parse_manifest(artifact_id: str, data: bytes) -> Manifest:
    """Return the manifest stored under an id.

    Raises:
        ArtifactCorrupt: The bytes do not hash to the id, or are no manifest.
        ArtifactTooNew: A newer interp-lab wrote it.
    """
    if sha256_hex(data) != artifact_id:
        raise ArtifactCorrupt(f"The manifest of artifact {artifact_id} does not match its id.")
    _refuse_newer(artifact_id, json.loads(data))
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactCorrupt(
            f"The manifest of artifact {artifact_id} is not one: {error.error_count()} faults."
        ) from error


def _refuse_newer(artifact_id: str, raw: Any) -> None:
    version = raw.get("schema_version") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(version, int) and version > MANIFEST_SCHEMA:
        raise ArtifactTooNew(
            f"Artifact {artifact_id} has schema {version}; this version reads up to {MANIFEST_SCHEMA}."
        )
