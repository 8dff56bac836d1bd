"""Processor, memory and disk, as far as this process may use them."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import sys
import time
from pathlib import Path

import psutil

from interp_lab.artifacts.durable import disk_full_as_error, free_bytes
from interp_lab.contracts.machine import Disk, Memory, Processor
from interp_lab.machine.cgroup import cpu_limit, memory_limit, memory_used

PROBE_BYTES = 64 * 2**20
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


def this_host() -> str:
    """Return the name of this machine as profiles have it."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def processor() -> Processor:
    """Return the processor with the cores that this process may use."""
    text = _cpuinfo()
    cores = psutil.cpu_count(logical=False) or 0
    logical = psutil.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    limit = cpu_limit()
    flags = set(re.findall(r"\w+", " ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)[:1])))
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return Processor(
        name=name[1].strip() if name else platform.processor() or platform.machine(),
        cores=cores,
        usable=min(allowed, limit) if limit else float(allowed),
        limited_by="container" if limit and limit < allowed else "affinity" if allowed < logical else "machine",
        features=tuple(feature for feature in _FEATURES if feature in flags),
    )


def memory() -> Memory:
    """Return the memory that there is for this process."""
    machine = psutil.virtual_memory()
    limit, used = memory_limit(), memory_used()
    if limit is None or limit >= machine.total:
        return Memory(total=machine.total, available=machine.available, limited_by="machine")
    return Memory(total=limit, available=min(machine.available, max(0, limit - (used or 0))), limited_by="container")


def disk(folder: Path, file_system: str) -> Disk:
    """Return the disk of that folder, measured with a file that is removed again.

    Raises:
        DiskFull: There is no space for it.
    """
    path = folder / f".probe-{secrets.token_hex(6)}"
    data = secrets.token_bytes(PROBE_BYTES)  # random, so that no file system can compress it away
    try:
        with disk_full_as_error(folder, PROBE_BYTES):
            written = _timed_write(path, data)
        _forget(path)
        start = time.perf_counter()
        path.read_bytes()
        read = time.perf_counter() - start
    finally:
        path.unlink(missing_ok=True)
    megabytes = PROBE_BYTES / 1e6
    return Disk(
        file_system=file_system,
        free=free_bytes(folder),
        write_mb_per_s=megabytes / max(written, 1e-6),
        read_mb_per_s=megabytes / max(read, 1e-6),
    )


def _timed_write(path: Path, data: bytes) -> float:
    start = time.perf_counter()
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def _forget(path: Path) -> None:
    """Ask the system to drop a file from its cache, so that reading it back reads the disk; a request, no promise."""
    if sys.platform == "linux":
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _cpuinfo() -> str:
    if sys.platform != "linux":
        return ""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
