"""Finding and ending every process of an attempt, by the mark in its environment: sessions and groups may differ."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

from interp_lab.jobs.environment import MARKER


def marked_processes(mark: str, variable: str = MARKER) -> Iterator[int]:
    """Yield the id of every live process whose environment carries the mark; zombies do not count."""
    import psutil  # lazy: a server that never has to kill never pays for it

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(variable) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid


def signal_all(mark: str, number: signal.Signals, *, spare: int | None = None, variable: str = MARKER) -> int:
    """Send a signal to every marked process and to the groups that marked processes lead; return how many there were.

    A process that cleared its environment is still reached through its group. `spare` is never signalled.
    """
    found = [pid for pid in marked_processes(mark, variable) if pid != spare]
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            if spare is None and os.getpgid(pid) == pid != os.getpgrp():
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
    return len(found)


def kill_leftovers(mark: str, *, spare: int | None = None, within_s: float = 5.0, variable: str = MARKER) -> bool:
    """Kill every marked process and wait until none is left; return whether that was achieved in time."""
    deadline = time.monotonic() + within_s
    while signal_all(mark, signal.SIGKILL, spare=spare, variable=variable):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
