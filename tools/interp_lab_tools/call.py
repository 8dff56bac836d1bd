"""The Python call: the same capabilities, the same validation, waiting for the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from interp_lab.contracts.jobs import JobProgress
from interp_lab.contracts.results import Result
from interp_lab_tools.dispatch import Pending, dispatch
from interp_lab_tools.lab import Lab

POLL_S = 0.2

Watcher = Callable[[JobProgress | None], None]


def _ignore(progress: JobProgress | None) -> None:
    """Do nothing with the progress."""


def call(lab: Lab, name: str, arguments: Mapping[str, Any] | None = None, *, watch: Watcher = _ignore) -> Result:
    """Return the answer of a capability; a call that starts a job waits as long as its wait_s says.

    Raises:
        LabError: whatever the request was refused for.
    """
    answer = dispatch(lab, name, arguments or {})
    return answer if isinstance(answer, Result) else wait(answer, watch=watch)


def wait(pending: Pending, *, watch: Watcher = _ignore) -> Result:
    """Return the job's view once it has ended or the time is up; watch sees its progress on the way."""
    while not pending.done():
        watch(pending.lab.engine.progress(pending.job_id))
        time.sleep(POLL_S)
    return pending.view()
