"""Writing an artifact: files go to a staging folder, are hashed on the way, and are sealed by a manifest.

Sealing publishes nothing; whoever owns the writer decides that.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from interp_lab.artifacts.canonical import readable_json
from interp_lab.artifacts.durable import disk_full_as_error
from interp_lab.artifacts.manifest import FileEntry, Manifest
from interp_lab.artifacts.names import check_name, media_type_of
from interp_lab.errors import InvalidName, StateError

_CHUNK = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an artifact comes from: what every artifact of one run shares."""

    job: str | None
    attempt: int
    started: datetime
    spec: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    code_version: str = ""
    package_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    device: str = "cpu"
    seeds: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Sealed:
    """A complete artifact in its staging folder."""

    manifest: Manifest
    folder: Path


def hash_file(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


class ArtifactWriter:
    """A context in which the files of one artifact are written; leaving it without an error seals it."""

    def __init__(
        self, folder: Path, kind: str, title: str, *, origin: Callable[[], Origin], on_seal: Callable[[Sealed], None]
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._title = title
        self._origin = origin
        self._on_seal = on_seal
        self._known: dict[str, tuple[str, int]] = {}
        self._media: dict[str, str] = {}
        self._sealed: Sealed | None = None
        self.metrics: dict[str, JsonValue] = {}
        self.warnings: list[str] = []

    def __enter__(self) -> Self:
        with disk_full_as_error(self._folder):
            self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._seal()
        else:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def id(self) -> str:
        """The artifact's id; known once the writer was left."""
        return self.manifest.id

    @property
    def manifest(self) -> Manifest:
        """The manifest; known once the writer was left."""
        if self._sealed is None:
            raise StateError("The artifact is still being written.", remedy="Leave the with block first.")
        return self._sealed.manifest

    def write_bytes(self, name: str, data: bytes, media_type: str | None = None) -> None:
        """Write a file of raw bytes.

        Raises:
            InvalidName: The name is not portable or already taken.
            DiskFull: There is no space.
        """
        path = self.path(name, media_type)
        with disk_full_as_error(path.parent, len(data)):
            path.write_bytes(data)
        self._known[name] = (hashlib.sha256(data).hexdigest(), len(data))

    def write_text(self, name: str, text: str, media_type: str | None = None) -> None:
        """Write a UTF-8 text file; a lone surrogate becomes '?'. See `write_bytes` for errors."""
        self.write_bytes(name, text.encode("utf-8", "replace"), media_type)

    def write_json(self, name: str, value: JsonValue, media_type: str | None = None) -> None:
        """Write a JSON file; what is not JSON (NaN, a lone surrogate) raises InvalidRequest. See also `write_bytes`."""
        self.write_bytes(name, readable_json(value), media_type or "application/json")

    def path(self, name: str, media_type: str | None = None) -> Path:
        """Return where a library may write the file itself; it is hashed when the artifact is sealed.

        Raises:
            InvalidName: The name is not portable or already taken.
        """
        check_name(name)
        if name.casefold() in {taken.casefold() for taken in self._media}:
            raise InvalidName(f"The artifact already has a file {name!r}.")
        self._media[name] = media_type or media_type_of(name)
        return self._folder / name

    def _seal(self) -> None:
        files = tuple(self._entry(name) for name in sorted(self._media))
        origin = self._origin()
        manifest = Manifest(
            kind=self._kind,
            title=self._title,
            job=origin.job,
            attempt=origin.attempt,
            started=origin.started,
            ended=datetime.now(UTC),
            files=files,
            spec=dict(origin.spec),
            inputs=dict(origin.inputs),
            code_version=origin.code_version,
            package_versions=dict(origin.package_versions),
            device=origin.device,
            seeds=dict(origin.seeds),
            metrics=dict(self.metrics),
            warnings=tuple(self.warnings),
        )
        self._sealed = Sealed(manifest, self._folder)
        self._on_seal(self._sealed)

    def _entry(self, name: str) -> FileEntry:
        digest, size = self._known.get(name) or hash_file(self._folder / name)
        return FileEntry(name=name, sha256=digest, bytes=size, media_type=self._media[name])
