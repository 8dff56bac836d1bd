"""Checkpoints that are whole or not there: written aside, hashed, renamed; a damaged one gives way to the last."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interp_lab.artifacts.durable import (
    disk_full_as_error,
    fsync_directory,
    fsync_file,
    make_durable_folder,
    write_durably,
)
from interp_lab.artifacts.writer import hash_file

KEPT = 2
_NAME = re.compile(r"step-(\d{12})")
_SEAL = "seal.json"
_DRAFT = "draft"
"""Is thrown away by the next one that is written."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One complete checkpoint."""

    step: int
    folder: Path
    """Holds the files that were written; read only."""


class Checkpoints:
    """The checkpoints in one folder, newest and the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def save(self, step: int) -> Generator[Path]:
        """Give a folder to write files into; they become the newest checkpoint when the block ends without an error.

        Raises:
            DiskFull: There was no space; the checkpoints before are untouched.
        """
        make_durable_folder(self._folder)
        draft, final = self._folder / _DRAFT, self._folder / f"step-{step:012d}"
        shutil.rmtree(draft, ignore_errors=True)
        with disk_full_as_error(self._folder):
            try:
                draft.mkdir()
                yield draft
                self._seal(draft)
                shutil.rmtree(final, ignore_errors=True)
                draft.rename(final)
                fsync_directory(self._folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        for _, old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint whose files are all as they were written, or None."""
        for step, folder in self._found():
            if _is_whole(folder):
                return Checkpoint(step, folder)
        return None

    def written(self) -> int:
        """Return the bytes of the checkpoints that are there, and of one in whose middle a process ended."""
        folders = [self._folder / _DRAFT, *(folder for _, folder in self._found())]
        return sum(file.stat().st_size for folder in folders for file in folder.glob("*") if file.is_file())

    def _found(self) -> list[tuple[int, Path]]:
        if not self._folder.is_dir():
            return []
        matches = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)

    def _seal(self, draft: Path) -> None:
        hashes: dict[str, str] = {}
        for path in sorted(draft.iterdir()):
            fsync_file(path)
            hashes[path.name] = hash_file(path)[0]
        write_durably(draft / _SEAL, json.dumps(hashes).encode())


def _is_whole(folder: Path) -> bool:
    try:
        hashes: dict[str, str] = json.loads((folder / _SEAL).read_bytes())
        return all(hash_file(folder / name)[0] == digest for name, digest in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False
