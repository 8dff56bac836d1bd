"""Limits of the container or job that this process runs in, of both versions of Linux control groups.

A limit may lie on the process's own group or on any above it (a Slurm job, a systemd slice); the tightest counts. In a
container of its own the root of the tree is the container.

Source: Linux kernel documentation, admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED = 2**60
"""Version 1 writes a huge number where there is no limit."""


class _Files(NamedTuple):
    """What a limit and the use that counts against it are called."""

    limit: str
    used: str


_MEMORY = {2: _Files("memory.max", "memory.current"), 1: _Files("memory.limit_in_bytes", "memory.usage_in_bytes")}


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Return the memory limit in bytes, or None without one."""
    found = min(_memory(root, membership), default=None)
    return None if found is None else found[0]


def memory_used(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Return the bytes that the group with that limit uses, or None without a limit."""
    found = min(_memory(root, membership), default=None)
    return None if found is None else found[1]


def cpu_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Return how many cores' worth of time this process may use, or None without a limit."""
    return min(_cores(root, membership), default=None)


def _memory(root: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Yield every limit with what is used of it."""
    for version, group in _groups("memory", root, membership):
        files = _MEMORY[version]
        limit = _read(group / files.limit) or ""
        if limit.isdigit() and int(limit) < _UNLIMITED:
            used = _read(group / files.used) or ""
            yield int(limit), int(used) if used.isdigit() else 0


def _cores(root: Path, membership: Path) -> Iterator[float]:
    for version, group in _groups("cpu", root, membership):
        if version == 2:
            quota, _, period = (_read(group / "cpu.max") or "").partition(" ")
        else:
            quota, period = (_read(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            yield int(quota) / int(period)


def _groups(controller: Literal["memory", "cpu"], root: Path, membership: Path) -> Iterator[tuple[int, Path]]:
    """Yield the groups of this process with their version, its own first; what is not there has no limit."""
    lines = (_read(membership) or "").splitlines()
    of = {names: path for _, names, path in (line.split(":", 2) for line in lines if line.count(":") > 1)}
    yield from ((2, group) for group in _upwards(root, of.get("", "/")))
    own = next((path for names, path in of.items() if controller in names.split(",")), "/")
    yield from ((1, group) for group in _upwards(root / controller, own))


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """Yield a group and all above it up to the root; of a path that leads out of the tree, the root alone."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    for n in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:n])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
