"""Waiting for a job in tests with real workers."""

from __future__ import annotations

import time
from collections.abc import Callable

from interp_lab_tools.lab import Lab

PATIENCE_S = 1800.0
"""Only ends what hangs."""


def until(lab: Lab, job_id: str, condition: Callable[[], object]) -> None:
    """Wait for something to be true; a job that ended before it was is told by its log, at once."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ended = lab.engine.get(job_id).final
        if condition():
            return
        assert not ended, lab.engine.logs(job_id).text
        assert time.monotonic() < deadline, lab.engine.logs(job_id).text
        lab.engine.tick()
        time.sleep(0.02)
