"""Timing of a piece of the lab's own work, the same for every probe."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from interp_lab.contracts.machine import WorkName, WorkTime

_LEAST_REPEATS = 3


def work_time(
    what: WorkName, sizes: tuple[int, ...], work: Callable[[], object], *, device: str, seconds: float, per: float = 1.0
) -> WorkTime:
    """Return the time of that work over `per`; it is repeated for about so many seconds, at least three times.

    The first time, which pays for setting up, is left out.
    """
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) <= _LEAST_REPEATS or time.perf_counter() < deadline:
        start = time.perf_counter()
        work()
        times.append(max(time.perf_counter() - start, 1e-9))
    return measured(what, sizes, [each / per for each in times[1:]], device=device)


def measured(what: WorkName, sizes: tuple[int, ...], times: list[float], *, device: str) -> WorkTime:
    """Return the median of times with how far they lie apart."""
    return WorkTime(
        what=what,
        device=device,
        sizes=sizes,
        seconds=statistics.median(times),
        repeats=len(times),
        spread=max(times) / min(times) - 1,
    )
