"""Ballast: a file that takes up a little space so that, when the disk is full, giving it up lets that be recorded."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from interp_lab.artifacts.durable import free_bytes
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import DiskFull

T = TypeVar("T")

_HEADROOM = 16
"""Ballast is only taken on where there is this many times its size left."""


def take_ballast(paths: WorkspacePaths, size: int) -> None:
    """Set space aside if there is plenty; never fails."""
    with suppress(OSError):
        if paths.ballast.exists() or free_bytes(paths.root) < _HEADROOM * size:
            return
        with paths.ballast.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, max(1, size))
            else:
                file.write(bytes(size))


def drop_ballast(paths: WorkspacePaths) -> None:
    """Give the space back; never fails."""
    with suppress(OSError):
        paths.ballast.unlink(missing_ok=True)


def with_ballast(paths: WorkspacePaths, write: Callable[[], T]) -> T:
    """Return what `write` returns; if the disk is too full for it, give up the ballast and try once more.

    Raises:
        DiskFull: There was no space even so.
    """
    try:
        return write()
    except DiskFull:
        drop_ballast(paths)
        return write()
