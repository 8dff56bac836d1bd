"""A module of the lab run for its answer, in a process with a worker's environment: the caller never imports torch."""

from __future__ import annotations

import subprocess
import sys

from interp_lab.jobs.environment import worker_environment
from interp_lab.settings import Settings


def answer_of(module: str, given: bytes, settings: Settings, *, within_s: float) -> bytes | None:
    """Return what the module prints for `given`, or None if it fails or takes longer; nothing of it goes on then."""
    environment = worker_environment(settings, ("cpu-0",), "probe")
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and a module of ours
            [sys.executable, "-P", "-m", module],
            input=given,
            env=environment,
            capture_output=True,
            timeout=within_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
