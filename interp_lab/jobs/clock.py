"""The time, as something that can be handed in: wall time to show, time since boot to decide by."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine asks the time of."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC; may jump."""
        ...

    def boot_s(self) -> float:
        """Return seconds since the machine started; the same in every process, never jumps."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC; may jump."""
        return datetime.now(UTC)

    def boot_s(self) -> float:
        """Return seconds since the machine started; the same in every process, never jumps."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
