"""Refusing file systems on which file locks and SQLite's journal cannot be trusted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from interp_lab.errors import NetworkFileSystem

Mount = tuple[str, str]
"""Mount point and file system type."""

_NETWORK = ("nfs", "cifs", "smb", "fuse.", "lustre", "gpfs", "9p", "afs", "ceph", "beegfs", "glusterfs")
_LOCAL_FUSE = frozenset({"fuse.ext4", "fuse.ntfs", "fuse.fuse-overlayfs", "fuseblk"})


def mounts() -> Iterable[Mount]:
    """Return every mount of this machine."""
    if sys.platform == "linux":
        text = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        return [(_unescape(parts[1]), parts[2]) for parts in map(str.split, text.splitlines())]
    import psutil  # lazy: only where there is no /proc

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def _unescape(mount_point: str) -> str:
    return mount_point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def filesystem_type(folder: Path, table: Iterable[Mount]) -> str:
    """Return the type of the file system that a folder lies on; the last of equally long mount points wins."""
    best, kind = -1, "unknown"
    for point, type_ in table:
        if folder.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), type_
    return kind


def refuse_network(folder: Path, table: Callable[[], Iterable[Mount]] | None = None) -> None:
    """Check that a folder is on a local disk.

    Raises:
        NetworkFileSystem: It is not.
    """
    kind = filesystem_type(folder.resolve(), (table or mounts)()).lower()
    if kind.startswith(_NETWORK) and kind not in _LOCAL_FUSE:
        raise NetworkFileSystem(f"{str(folder)!r} is on a network file system ({kind}).")
