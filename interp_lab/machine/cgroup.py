"""Limits of the container that this process runs in, of both versions of Linux control groups."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""Version 1 writes a huge number where there is no limit."""


def memory_limit(root: Path = ROOT) -> int | None:
    """Return the memory limit in bytes, or None without one."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(root / name)
        if text and text.isdigit():
            return int(text) if int(text) < _UNLIMITED else None
    return None


def memory_used(root: Path = ROOT) -> int | None:
    """Return the bytes that the container uses, or None where nothing says so."""
    for name in ("memory.current", "memory/memory.usage_in_bytes"):
        text = _read(root / name)
        if text and text.isdigit():
            return int(text)
    return None


def cpu_limit(root: Path = ROOT) -> float | None:
    """Return how many cores' worth of time the container may use, or None without a limit."""
    quota, _, period = (_read(root / "cpu.max") or "").partition(" ")
    if not period:
        quota = _read(root / "cpu/cpu.cfs_quota_us") or ""
        period = _read(root / "cpu/cpu.cfs_period_us") or ""
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
