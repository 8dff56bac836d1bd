"""The worker's side of a job: take over the claim, do the work, record the end, let the next job start.

The one place below the server where every exception is caught: whatever ends the work becomes a recorded end.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from interp_lab.artifacts.space import with_ballast
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import InvalidSetting, LabError
from interp_lab.jobs.clock import SystemClock
from interp_lab.jobs.discard import discard_unpublished
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import MARKER, N_SLOTS, RUN_FD, marker
from interp_lab.jobs.failures import failure_of, tell
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.joblog import cap_log
from interp_lab.jobs.jobrun import JobRun
from interp_lab.jobs.ledger import Attempt, Ending, Ledger
from interp_lab.jobs.opening import reach_catalog
from interp_lab.jobs.processes import kill_leftovers
from interp_lab.jobs.run import Run
from interp_lab.jobs.signals import CancelledJob, InterruptedJob
from interp_lab.jobs.spec import JobSpec
from interp_lab.jobs.stop import StopSign, Watch
from interp_lab.settings import Settings

Execute = Callable[[JobSpec, Run], Mapping[str, Any]]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 75
"""EX_TEMPFAIL: it will be tried again."""
EXIT_NOT_OURS = 76
"""The job was no longer this process's to run."""

_LOG_FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"
_log = logging.getLogger("interp_lab.worker")


def run_claimed(execute: Execute, environ: Mapping[str, str] | None = None) -> int:
    """Run the one job that this process was started for and return the exit status.

    The claim comes from the environment (`INTERP_LAB_JOB` is `<id>:<attempt>`), its locks as open descriptors.
    `execute(spec, run)` returns the result as JSON values; what it raises is recorded as the job's error.

    Raises:
        InvalidSetting: This process was not started by a job engine.
    """
    env = os.environ if environ is None else environ
    job_id, _, number = env.get(MARKER, "").partition(":")
    if not number.isdigit():
        raise InvalidSetting(f"{MARKER} is not set: workers are started by the job engine.")
    settings = Settings.from_env(env)
    locks = range(RUN_FD, RUN_FD + 1 + int(env.get(N_SLOTS, "1")))
    _keep_locks(locks)
    _set_up_log()
    status = _Worker(settings, Attempt(job_id, int(number))).work(execute)
    # A child that the work forgot would keep the slot taken for ever.
    kill_leftovers(env[MARKER], spare=os.getpid())
    if status != EXIT_INTERRUPTED:
        for fd in locks:
            _close(fd)
        _move_on(settings)
    return status


def _keep_locks(locks: Sequence[int]) -> None:
    """Hold the inherited locks: forked children keep the slots, so that they stay taken, but not the sign of life."""
    for fd in locks:
        with suppress(OSError):
            os.set_inheritable(fd, False)  # noqa: FBT003  # the signature is not ours
    os.register_at_fork(after_in_child=lambda: _close(RUN_FD))


def _close(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)


def _set_up_log() -> None:
    faulthandler.enable()
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=_LOG_FORMAT)


def _move_on(settings: Settings) -> None:
    """Start what waits, so that a queue drains with no server alive."""
    try:
        engine = JobEngine(settings)
    except LabError as error:
        _log.warning("The next job was not started: %s", error)
        return
    try:
        engine.tick()
    except LabError as error:
        _log.warning("The next job was not started: %s", error)
    finally:
        engine.close()


class _Worker:
    """One process, one attempt."""

    def __init__(self, settings: Settings, attempt: Attempt) -> None:
        self._settings = settings
        self._attempt = attempt
        self._clock = SystemClock()
        self._paths = WorkspacePaths.of(settings)
        self._catalog = reach_catalog(self._paths)
        self._ledger = Ledger(self._catalog, self._clock)
        self._store = ArtifactStore(self._paths)
        self._folder = JobFolder(self._paths, attempt.job_id)
        self._stop = StopSign(self._folder.cancel_flag)
        self._started_s = self._clock.boot_s()
        self._run: JobRun | None = None

    def work(self, execute: Execute) -> int:
        """Return the exit status; the job's end is recorded."""
        self._stop.install()
        os.chdir(self._paths.workspace)
        if not self._ledger.started(self._attempt):
            ended = self._ledger.end(self._attempt, Ending(state="cancelled"))
            return EXIT_OK if ended else EXIT_NOT_OURS
        watch = Watch(
            self._stop, grace_s=self._settings.kill_grace_s, housekeeping=self._keep_house, kill=self._end_everything
        )
        with watch:
            status = self._attempt_work(execute)
        self._trim_log()
        return status

    def _attempt_work(self, execute: Execute) -> int:
        try:
            stored = self._folder.read_spec(self._ledger.spec_hash(self._attempt.job_id))
            run = self._run = JobRun(self._paths, stored, self._attempt, clock=self._clock, stop=self._stop)
            result = execute(stored.spec, run)
            run.flush_progress()
            return self._publish(run, result)
        except InterruptedJob:
            return self._interrupted()
        except CancelledJob:
            return self._record(Ending(state="cancelled", duration_s=self._duration()))
        except BaseException as error:  # noqa: BLE001  # the boundary: every way to fail becomes a recorded failure
            with suppress(OSError):
                tell(error)
            failure = failure_of(error, self._paths)
            return self._record(Ending(state="failed", error=failure, duration_s=self._duration()))

    def _publish(self, run: JobRun, result: Mapping[str, Any]) -> int:
        manifests = [sealed.manifest for sealed in run.sealed]
        with self._store.publishing():
            ids = tuple(manifest.id for manifest in manifests)
            digest = self._folder.write_result(dict(result), ids, self._attempt.number)
            self._store.publish(run.sealed)
            self._folder.drop_staging(self._attempt.number)
            ending = Ending(state="succeeded", result_sha256=digest, duration_s=self._duration())
            if not self._ledger.end(self._attempt, ending, manifests):
                return self._record(Ending(state="cancelled", duration_s=self._duration()))
        self._folder.drop_parts()
        self._note_ending()
        return EXIT_OK

    def _interrupted(self) -> int:
        self._discard()
        if with_ballast(self._paths, lambda: self._ledger.interrupted(self._attempt)):
            _log.info("Interrupted; the job goes on from its checkpoint when a server finds a free slot.")
            return EXIT_INTERRUPTED
        return self._record(Ending(state="cancelled", duration_s=self._duration()))

    def _record(self, ending: Ending) -> int:
        """Record how the job ended; a cancellation that came first wins."""
        self._discard()
        cancelled = Ending(state="cancelled", duration_s=ending.duration_s)
        for candidate in (ending, cancelled):
            if with_ballast(self._paths, lambda candidate=candidate: self._ledger.end(self._attempt, candidate)):
                self._note_ending()
                return EXIT_FAILED if candidate.state == "failed" else EXIT_OK
        _log.warning("This process has lost its job; nothing was recorded.")
        return EXIT_NOT_OURS

    def _discard(self) -> None:
        """Remove what was not published, first of all: on a full disk nothing can be recorded before."""
        with_ballast(self._paths, lambda: discard_unpublished(self._paths, self._catalog, self._store, self._attempt))

    def _note_ending(self) -> None:
        self._folder.write_ended(self._ledger.job(self._attempt.job_id))

    def _duration(self) -> float:
        return self._clock.boot_s() - self._started_s

    def _keep_house(self) -> None:
        """Show the latest progress of a step that takes long, and keep the log in its limits."""
        with suppress(OSError, LabError):
            if self._run is not None:
                self._run.flush_progress()
        self._trim_log()

    def _trim_log(self) -> None:
        with suppress(OSError, LabError):
            cap_log(self._folder.log, self._settings.log_cap_bytes)

    def _end_everything(self) -> None:
        kill_leftovers(marker(self._attempt.job_id, self._attempt.number), spare=os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
