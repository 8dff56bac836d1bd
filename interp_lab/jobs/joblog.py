"""A job's log: appended to by any process, capped by dropping its middle, read by stable offsets.

Offsets count everything that was ever written, so a reader's position stays true when the middle is dropped.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from interp_lab.artifacts.durable import replace_quickly
from interp_lab.jobs.job import LogPage


def _gap_file(log: Path) -> Path:
    return log.with_name("log.gap.json")


def _gap(log: Path) -> tuple[int, int]:
    """Return where the head ends and how many bytes after it were dropped."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        raw = json.loads(_gap_file(log).read_bytes())
        return int(raw["head"]), int(raw["dropped"])
    return 0, 0


def cap_log(log: Path, cap_bytes: int) -> bool:
    """Drop the middle of a log over its cap, keeping the first half and the last quarter; return whether it did.

    Processes that append to the file go on appending. What they write during the cut may be lost.
    """
    if not log.exists() or log.stat().st_size <= cap_bytes:
        return False
    head, dropped = _gap(log)
    head = head or cap_bytes // 2
    with log.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(head, size - cap_bytes // 4)
        file.seek(start)
        tail = file.read(size - start)
        replace_quickly(_gap_file(log), json.dumps({"head": head, "dropped": dropped + start - head}).encode())
        file.truncate(head)
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, tail)
    finally:
        os.close(fd)
    return True


def read_log(log: Path, *, offset: int | None, max_bytes: int) -> LogPage:
    """Return at most `max_bytes` of a log from an offset, or its end; a missing log is empty."""
    head, dropped = _gap(log)
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            total = size + dropped
            start = max(0, total - max_bytes) if offset is None else min(offset, total)
            if dropped and head <= start < head + dropped:
                start = head + dropped
            length = head - start if dropped and start < head else max_bytes
            file.seek(start if start < head or not dropped else start - dropped)
            data = file.read(min(length, max_bytes))
    except FileNotFoundError:
        return LogPage(b"", 0, 0, 0)
    end = start + len(data)
    following = head + dropped if dropped and end == head else end
    return LogPage(data, start, following, total, dropped)
