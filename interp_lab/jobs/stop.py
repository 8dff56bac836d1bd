"""Hearing that the job is to stop: the signal handler, the watch on the cancel file, and the last resort.

A bare SIGTERM means "stop, to go on later": schedulers, shutdowns and editors send the same signal as a
cancellation. Only a cancel file that was there first makes it final.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from interp_lab.jobs.signals import CancelledJob, InterruptedJob

WATCH_INTERVAL_S = 0.5


class StopSign:
    """Whether this process was told to stop, and why."""

    def __init__(self, cancel_flag: Path, *, superseded: Callable[[], bool] = lambda: False) -> None:
        self._cancel_flag = cancel_flag
        self._superseded = superseded
        self._raised = False

    def install(self) -> None:
        """Listen to SIGTERM, SIGINT, and SIGUSR2, by which Slurm says that time runs out; main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._raised = True

    def look(self) -> bool:
        """Notice a cancel file, or another in this one's place, even if no signal came; return whether to stop."""
        if not self._raised and (self._cancel_flag.exists() or self._superseded()):
            self._raised = True
        return self._raised

    @property
    def cancelled(self) -> bool:
        """Whether the stop is for good."""
        return self._cancel_flag.exists()

    def check(self) -> None:
        """Raise what the process was told, if anything."""
        if self._raised:
            raise CancelledJob if self.cancelled else InterruptedJob


class Watch:
    """A thread that looks at the cancel file, lets housekeeping run, and ends a process that does not listen."""

    def __init__(
        self, stop: StopSign, *, grace_s: float, housekeeping: Callable[[], None], kill: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._grace_s = grace_s
        self._housekeeping = housekeeping
        self._kill = kill
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="interp-lab-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        asked: float | None = None
        while not self._done.wait(WATCH_INTERVAL_S):
            self._housekeeping()
            if self._stop.look() and self._stop.cancelled:
                asked = time.monotonic() if asked is None else asked
                if time.monotonic() - asked >= self._grace_s:
                    self._kill()
