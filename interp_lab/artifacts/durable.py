"""Writes that survive a power cut, quick ones that only survive a crash, and a full disk said in words."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from interp_lab.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_full_as_error(near: Path, needed: int | None = None) -> Generator[None]:
    """Turn the operating system's "no space" into DiskFull with needed and free bytes.

    Raises:
        DiskFull: A write inside the block found no space.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(describe_full(near, needed)) from error


def describe_full(near: Path, needed: int | None) -> str:
    """Return one sentence about a full disk: what was needed and what is free."""
    wanted = "More space was needed" if needed is None else f"{needed} bytes were needed"
    return f"The disk is full: {wanted}, {free_bytes(near)} bytes are free at {near}."


def free_bytes(near: Path) -> int:
    """Return the bytes free for this user at the nearest existing folder of a path."""
    for folder in (near, *near.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def fsync_directory(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_durable_folder(folder: Path) -> None:
    """Create a folder whose parent exists, and make its name durable; an existing folder is left alone."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        fsync_directory(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file as a whole; after the return its content and name survive a power cut.

    Raises:
        DiskFull: There was no space; the old file is untouched and nothing is left behind.
    """
    _replace(path, data, durable=True)
    fsync_directory(path.parent)


def replace_quickly(path: Path, data: bytes) -> None:
    """Replace a file as a whole; a reader sees the old or the new content, a power cut may lose the new.

    Raises:
        DiskFull: There was no space; the old file is untouched.
    """
    _replace(path, data, durable=False)


def _replace(path: Path, data: bytes, *, durable: bool) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with disk_full_as_error(path.parent, len(data)):
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
