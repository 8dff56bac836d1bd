"""Ballast: a file that takes up a little space so that, when the disk is full, giving it up lets that be recorded."""

from __future__ import annotations

import os
from contextlib import suppress

from interp_lab.artifacts.durable import free_bytes
from interp_lab.artifacts.workspace import WorkspacePaths

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
