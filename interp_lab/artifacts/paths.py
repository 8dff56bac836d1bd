"""Opening what an agent names: inside the workspace or a read root, step by step, never through a link that leaves.

Every step is opened relative to the folder before it and without following links, so nothing can be swapped
between the check and the use. Links that stay inside are followed by hand.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath
from typing import Literal

from interp_lab.artifacts.names import is_windows_device
from interp_lab.artifacts.workspace import ROOT_NAME
from interp_lab.errors import FileTooLarge, InvalidPath, PathOutsideWorkspace

Kind = Literal["file", "folder", "any"]

MAX_PATH = 1024
_MAX_NAME = 255
_MAX_LINKS = 40
_BUFFER_BYTES = 1 << 20
"""A line of activation records can be longer; read in pieces of the default size it takes twice as long."""


def resolve_input(workspace: Path, user_path: str, *, read_roots: Sequence[Path] = (), kind: Kind = "any") -> Path:
    """Return the real path of an existing file or folder that an agent named.

    Relative paths are relative to the workspace; absolute ones must lie in it or in a read root. Use `open_input`
    to read a file: a path can be swapped after it was resolved.

    Raises:
        InvalidPath: Malformed, missing, not of the kind asked for, or a device, pipe or hard link.
        PathOutsideWorkspace: It leads out of the workspace and of every read root.
    """
    with _opened(workspace, user_path, read_roots, kind) as (_, real):
        return real


@contextmanager
def open_input(
    workspace: Path, user_path: str, *, read_roots: Sequence[Path] = (), max_bytes: int | None = None
) -> Generator[BufferedReader[FileIO]]:
    """Open a regular file that an agent named, for reading; see `resolve_input`.

    Raises:
        InvalidPath, PathOutsideWorkspace: see `resolve_input`.
        FileTooLarge: It is larger than `max_bytes`.
    """
    with _opened(workspace, user_path, read_roots, "file") as (fd, real):
        size = os.fstat(fd).st_size
        if max_bytes is not None and size > max_bytes:
            raise FileTooLarge(f"{real.name!r} has {size} bytes; at most {max_bytes} are read.")
        with BufferedReader(FileIO(os.dup(fd)), _BUFFER_BYTES) as file:
            yield file


def check_user_path(text: str) -> PurePosixPath:
    """Return the path if its text is one that could be used on every system.

    Raises:
        InvalidPath: Empty, over-long, with NUL, control characters, lone surrogates, backslashes, a drive or a
            device name.
        PathOutsideWorkspace: It has a '..' step.
    """
    if not text or len(text) > MAX_PATH:
        raise InvalidPath(f"A path has 1 to {MAX_PATH} characters; this one has {len(text)}.")
    shown = ascii(text[:80])
    if not text.isprintable():
        raise InvalidPath(f"{shown} holds characters that no path should.")
    path = PurePosixPath(text)
    if "\\" in text or ":" in text.partition("/")[0] or text.startswith("//"):
        raise InvalidPath(f"{shown} is not a plain path: use forward slashes, no drive, no scheme.")
    for part in path.parts:
        if part == "..":
            raise PathOutsideWorkspace(f"{shown} has a '..' step.")
        if len(part.encode()) > _MAX_NAME or is_windows_device(part):
            raise InvalidPath(f"{shown} has a name that not every system can store.")
    return path


@contextmanager
def _opened(workspace: Path, user_path: str, read_roots: Sequence[Path], kind: Kind) -> Generator[tuple[int, Path]]:
    roots = tuple(root.resolve() for root in (workspace, *read_roots))
    walk = _Walk(roots, check_user_path(user_path))
    try:
        fd = walk.open()
        _check_kind(fd, walk, kind)
        yield fd, walk.real
    finally:
        walk.close()


class _Walk:
    """One way from a root to a file, a step at a time."""

    def __init__(self, roots: tuple[Path, ...], path: PurePosixPath) -> None:
        self._roots = roots
        self._shown = ascii(str(path)[:80])
        self._fds: list[int] = []
        self._names: list[str] = []
        self._links = 0
        self.root = roots[0]
        self._pending: deque[str] = deque()
        self._enter(path)

    @property
    def in_workspace(self) -> bool:
        """Whether the walk ended in the workspace, not in a read root."""
        return self.root == self._roots[0]

    @property
    def real(self) -> Path:
        """Where the walk has led, without links."""
        return self.root.joinpath(*self._names)

    def close(self) -> None:
        """Close every folder on the way."""
        while self._fds:
            os.close(self._fds.pop())

    def open(self) -> int:
        """Go to the end and return the open descriptor, which `close` closes."""
        while self._pending:
            self._step(self._pending.popleft())
        return self._fds[-1]

    def _enter(self, path: PurePosixPath) -> None:
        """Start from the root that a path lies under; a relative one goes on from here."""
        if path.is_absolute():
            root = next((root for root in self._roots if path.is_relative_to(root)), None)
            if root is None:
                raise PathOutsideWorkspace(f"{self._shown} is outside the workspace.")
            self.root = root
            self.close()
            self._names.clear()
            path = path.relative_to(root)
        if not self._fds:
            self._fds.append(self._open_root())
        self._pending.extendleft(reversed(path.parts))

    def _open_root(self) -> int:
        try:
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidPath(f"The folder {str(self.root)!r} cannot be opened: {error.strerror}.") from error

    def _step(self, name: str) -> None:
        if name == "..":
            self._up()
            return
        if self.in_workspace and not self._names and name.casefold() == ROOT_NAME:
            raise InvalidPath("The lab's own records are read through job and artifact tools, not by path.")
        try:
            mode = os.stat(name, dir_fd=self._fds[-1], follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                self._follow(os.readlink(name, dir_fd=self._fds[-1]))
            else:
                self._go(name, mode)
        except OSError as error:
            raise InvalidPath(f"{self._shown} cannot be opened: {error.strerror}.") from error

    def _go(self, name: str, mode: int) -> None:
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise InvalidPath(f"{name!r} is a device, pipe or socket, not a regular file.")
        # The entry may have been swapped since the look: never follow a link, never wait for a pipe.
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fds[-1])
        self._fds.append(fd)
        self._names.append(name)

    def _up(self) -> None:
        """Take a '..' of a link; the root is the end of the way up."""
        if len(self._fds) == 1:
            raise PathOutsideWorkspace(f"{self._shown} is a link that leads outside the workspace.")
        os.close(self._fds.pop())
        self._names.pop()

    def _follow(self, target: str) -> None:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise InvalidPath(f"{self._shown} goes through too many links.")
        self._enter(PurePosixPath(target))


def _check_kind(fd: int, walk: _Walk, kind: Kind) -> None:
    status = os.fstat(fd)
    name = walk.real.name
    if stat.S_ISDIR(status.st_mode):
        if kind == "file":
            raise InvalidPath(f"{name!r} is a folder; a file is needed.")
        return
    if kind == "folder":
        raise InvalidPath(f"{name!r} is not a folder.")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidPath(f"{name!r} is a device, pipe or socket, not a regular file.")
    # Decided, not overlooked: which other names a file has cannot be found out, and one of them may be a secret that
    # somebody who may write to the workspace linked into it. A copy costs disk; the refusal says to make one.
    if walk.in_workspace and status.st_nlink > 1:
        raise InvalidPath(f"{name!r} is a hard link; its other name may lie outside the workspace. Copy the file.")
