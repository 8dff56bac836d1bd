"""How far a run has come and how fast: the content of progress.json, and when it is due."""

from __future__ import annotations

import math
import resource
import statistics
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from interp_lab.jobs.clock import Clock

MIN_INTERVAL_S = 0.5
"""Progress reaches the disk at most twice a second."""


def peak_rss_bytes() -> int:
    """Return the largest memory this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclass(slots=True)
class Pace:
    """Progress reports of one attempt, and the intervals between them."""

    attempt: int
    clock: Clock
    _started_s: float = field(init=False)
    _last_s: float = field(init=False)
    _written_s: float = -math.inf
    _first: tuple[float, float, str] | None = None
    """What was done, when, and in which unit, when this count began: getting ready is no speed."""
    _intervals: deque[float] = field(default_factory=lambda: deque[float](maxlen=21))

    def __post_init__(self) -> None:
        self._started_s = self._last_s = self.clock.boot_s()

    def report(self, done: float, total: float | None, message: str, unit: str) -> dict[str, Any]:
        """Take a report and return what progress.json should now say."""
        now = self.clock.boot_s()
        self._intervals.append(now - self._last_s)
        self._last_s = now
        if total is None:
            self._first = None
        elif self._first is None or self._first[2] != unit:
            self._first = done, now, unit
        return {
            "attempt": self.attempt,
            "done": _finite(done) or 0.0,
            "total": _finite(total),
            "unit": unit[:40],
            "message": message[:500],
            "eta_s": self._eta(now, done, total),
            "boot_s": now,
            "elapsed_s": now - self._started_s,
            "intervals_s": [round(statistics.median(self._intervals), 3)],
            "peak_rss_bytes": peak_rss_bytes(),
            "at": self.clock.now().isoformat(),
        }

    def due(self) -> bool:
        """Return whether enough time has passed to write again, and count this as a write if so."""
        if self._last_s - self._written_s < MIN_INTERVAL_S:
            return False
        self._written_s = self._last_s
        return True

    def _eta(self, now: float, done: float, total: float | None) -> float | None:
        """Return seconds to the end, from what this attempt itself counted: a resumed start is not speed."""
        if total is None or self._first is None:
            return None
        gained, elapsed = done - self._first[0], now - self._first[1]
        if gained <= 0 or elapsed <= 0:
            return None
        return max(0.0, (total - done) * elapsed / gained)


def _finite(value: float | None) -> float | None:
    return max(0.0, float(value)) if value is not None and math.isfinite(value) else None
