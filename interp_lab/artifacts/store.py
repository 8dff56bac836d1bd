"""The artifact store: publish what is sealed, serve only what still has the bytes that were published."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from interp_lab.artifacts.durable import (
    disk_full_as_error,
    fsync_directory,
    fsync_file,
    make_durable_folder,
    write_durably,
)
from interp_lab.artifacts.locks import hold_lock
from interp_lab.artifacts.manifest import FileEntry, Manifest, parse_manifest
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.artifacts.writer import Sealed, hash_file
from interp_lab.errors import ArtifactCorrupt, UnknownArtifact, WrongArtifact

_Stamp = tuple[int, int, int]
_NAMED = "files"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a full check of one artifact found."""

    artifact_id: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every byte is as published."""
        return not self.problems


class ArtifactStore:
    """The artifacts of one workspace, as files."""

    def __init__(self, paths: WorkspacePaths) -> None:
        self._paths = paths
        self._verified: dict[str, _Stamp] = {}

    @contextmanager
    def publishing(self) -> Generator[None]:
        """Keep the collector out for the block: from the first file moved to the commit that refers to it."""
        with hold_lock(self._paths.gc_lock, shared=True):
            yield

    def publish(self, sealed: Sequence[Sealed]) -> None:
        """Move sealed artifacts into the store, contents first, manifests last; call inside `publishing`.

        Raises:
            DiskFull: There was no space; `withdraw` removes what was published.
        """
        for item in sealed:
            with disk_full_as_error(self._paths.root):
                for entry in item.manifest.files:
                    self._adopt(item.folder / entry.name, entry)
                folder = self._paths.artifact(item.manifest.id)
                make_durable_folder(folder)
                write_durably(folder / "manifest.json", item.manifest.canonical)
                self._name(item.manifest)

    def _adopt(self, staged: Path, entry: FileEntry) -> None:
        blob = self._paths.blob(entry.sha256)
        make_durable_folder(blob.parent)
        staged.chmod(0o444)
        fsync_file(staged)
        staged.replace(blob)
        fsync_directory(blob.parent)

    def _name(self, manifest: Manifest) -> None:
        """Give every file its own name in a folder for people; where links cannot be made, the contents remain."""
        folder = self._paths.artifact(manifest.id) / _NAMED
        folder.mkdir(exist_ok=True)
        for entry in manifest.files:
            with suppress(OSError):
                os.link(self._paths.blob(entry.sha256), folder / entry.name)

    def withdraw(self, artifact_ids: Sequence[str]) -> None:
        """Remove the manifests of artifacts that were never acknowledged; their contents are left to the collector."""
        for artifact_id in artifact_ids:
            shutil.rmtree(self._paths.artifact(artifact_id), ignore_errors=True)

    def ids(self) -> Iterator[str]:
        """Yield the id of every artifact that has a manifest, in no order."""
        for folder in self._paths.artifacts.iterdir():
            if is_artifact_id(folder.name) and (folder / "manifest.json").exists():
                yield folder.name

    def open(self, artifact_id: str) -> Manifest:
        """Return the manifest of an artifact, checked against its id.

        Raises:
            UnknownArtifact: There is none of that id.
            ArtifactCorrupt: It is damaged or was found damaged before.
            ArtifactTooNew: A newer interp-lab wrote it.
        """
        if reason := self.corrupt_reason(artifact_id):
            raise ArtifactCorrupt(f"Artifact {artifact_id} is corrupt: {reason}")
        return self.manifest(artifact_id)

    def open_as(self, artifact_id: str, *kinds: str) -> Manifest:
        """Return the manifest of an artifact of one of the kinds.

        Raises:
            WrongArtifact: It is of another kind.
            UnknownArtifact, ArtifactCorrupt, ArtifactTooNew: see `open`.
        """
        manifest = self.open(artifact_id)
        if manifest.kind not in kinds:
            what = f"Artifact {artifact_id} is of kind {manifest.kind}; wanted is {' or '.join(kinds)}."
            raise WrongArtifact(what, artifact=artifact_id, kinds=kinds)
        return manifest

    def manifest(self, artifact_id: str) -> Manifest:
        """Return the manifest of an artifact even if its files are known to be damaged; see `open` for errors."""
        try:
            data = (self._paths.artifact(artifact_id) / "manifest.json").read_bytes()
        except FileNotFoundError as error:
            raise UnknownArtifact(f"There is no artifact {artifact_id}.") from error
        try:
            return parse_manifest(artifact_id, data)
        except ArtifactCorrupt as error:
            self._mark(artifact_id, error.what)
            raise

    def path_of(self, artifact_id: str, name: str) -> Path:
        """Return the read-only path of one file of an artifact, its bytes checked first.

        The first read in a process hashes the file; later reads compare size, time and inode.

        Raises:
            UnknownArtifact, ArtifactCorrupt, ArtifactTooNew: see `open`.
        """
        entry = self.open(artifact_id).file(name)
        if entry is None:
            raise UnknownArtifact(f"Artifact {artifact_id} has no file {name[:100]!r}.")
        if problem := self._check(entry, full=False):
            self._mark(artifact_id, problem)
            raise ArtifactCorrupt(f"Artifact {artifact_id} is corrupt: {problem}")
        return self._paths.blob(entry.sha256)

    def read_file(self, artifact_id: str, name: str, *, offset: int = 0, limit: int = 2**20) -> bytes:
        """Return at most `limit` bytes of a file from `offset` on; see `path_of` for errors."""
        with self.path_of(artifact_id, name).open("rb") as file:
            file.seek(offset)
            return file.read(limit)

    def verify(self, artifact_id: str) -> Verification:
        """Return what a full hash of every file finds; marks the artifact corrupt, or clears the mark if it is whole.

        Raises:
            UnknownArtifact: There is none of that id.
        """
        try:
            checks = [self._check(entry, full=True) for entry in self.manifest(artifact_id).files]
        except ArtifactCorrupt as error:
            return Verification(artifact_id, (error.what,))
        problems = tuple(problem for problem in checks if problem)
        if problems:
            self._mark(artifact_id, problems[0])
        else:
            self._mark_path(artifact_id).unlink(missing_ok=True)
        return Verification(artifact_id, problems)

    def corrupt_reason(self, artifact_id: str) -> str | None:
        """Return why an artifact is marked corrupt, or None."""
        try:
            return str(json.loads(self._mark_path(artifact_id).read_bytes())["reason"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return "marked as corrupt"

    def checked_folder(self, artifact_id: str) -> Path:
        """Return the folder with the artifact's files under their own names, every byte checked as `path_of` does.

        Where the disk has no hard links a name is a copy, made here if need be.

        Raises:
            UnknownArtifact, ArtifactCorrupt, ArtifactTooNew: see `path_of`.
        """
        folder = self._paths.artifact(artifact_id) / _NAMED
        for entry in self.open(artifact_id).files:
            blob, named = self.path_of(artifact_id, entry.name), folder / entry.name
            if named.exists() and (named.samefile(blob) or hash_file(named)[0] == entry.sha256):
                continue
            folder.mkdir(exist_ok=True)
            copy = named.with_name(f".{secrets.token_hex(6)}.tmp")
            shutil.copyfile(blob, copy)
            copy.replace(named)
        return folder.resolve()

    def relative_folder(self, artifact_id: str) -> str:
        """Return the folder with the artifact's files, relative to the workspace, with forward slashes."""
        return (self._paths.artifact(artifact_id) / _NAMED).relative_to(self._paths.workspace).as_posix()

    def _check(self, entry: FileEntry, *, full: bool) -> str | None:
        blob = self._paths.blob(entry.sha256)
        try:
            status = blob.stat()
        except FileNotFoundError:
            return f"{entry.name} is missing."
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if not full and self._verified.get(entry.sha256) == stamp:
            return None
        if status.st_size != entry.bytes or hash_file(blob)[0] != entry.sha256:
            self._verified.pop(entry.sha256, None)
            return f"{entry.name} does not have the bytes that were published."
        self._verified[entry.sha256] = stamp
        return None

    def _mark_path(self, artifact_id: str) -> Path:
        return self._paths.artifact(artifact_id) / "corrupt.json"

    def _mark(self, artifact_id: str, reason: str) -> None:
        with suppress(OSError):
            write_durably(self._mark_path(artifact_id), json.dumps({"reason": reason}).encode())
