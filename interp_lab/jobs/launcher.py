"""How a job's process is started, watched and stopped: the seam behind which other machines can stand."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from interp_lab.artifacts.locks import FileLock, is_locked
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.environment import RUN_FD, marker, worker_environment
from interp_lab.jobs.job import LogPage
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.joblog import read_log
from interp_lab.jobs.ledger import Attempt, Exit
from interp_lab.jobs.processes import kill_leftovers, signal_all
from interp_lab.settings import Settings

Liveness = Literal["running", "gone", "unknown"]
"""unknown: the place where it runs does not answer; nothing is decided until it does."""
_EXITS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt with the locks that its process will hold."""

    attempt: Attempt
    run_lock: FileLock
    slots: Mapping[str, FileLock]
    """The slots that it has, by name; the catalogue knows the first."""


@dataclass(frozen=True, slots=True)
class Life:
    """Whether an attempt's process lives and, if this launcher saw it, how it ended."""

    liveness: Liveness
    exit: Exit | None = None


class Launcher(Protocol):
    """Everything that depends on where jobs run."""

    def submit(self, claim: Claim) -> None:
        """Start the process of a claimed attempt and hand the locks over to it; raises OSError if it cannot start."""
        ...

    def poll(self, attempts: Iterable[Attempt]) -> Mapping[Attempt, Life]:
        """Return which attempts still have a live process."""
        ...

    def cancel(self, attempt: Attempt, *, force: bool) -> bool:
        """Ask every process of an attempt to stop, or with `force` kill them; return whether none was left."""
        ...

    def logs(self, job_id: str, *, offset: int | None, max_bytes: int) -> LogPage:
        """Return part of what the job's processes wrote; no offset means the end."""
        ...

    def adopt(self, job_id: str) -> Attempt | None:
        """Return the live attempt of a job that the catalogue has forgotten, or None."""
        ...


class LocalLauncher:
    """Jobs as processes of this machine, each in a session of its own, alive as long as their run lock is held."""

    def __init__(self, settings: Settings, paths: WorkspacePaths) -> None:
        self._settings = settings
        self._paths = paths
        self._children: dict[int, Attempt] = {}
        self._exits: dict[Attempt, Exit] = {}
        self._guard = threading.Lock()

    def submit(self, claim: Claim) -> None:
        """Start the worker; from the claim on there is no instant at which it is claimed, alive and unlocked."""
        attempt = claim.attempt
        command = self._settings.worker()
        slots = tuple(claim.slots)
        environment = worker_environment(self._settings, slots, marker(attempt.job_id, attempt.number))
        log = JobFolder(self._paths, attempt.job_id).log
        with ExitStack() as held:
            locks = (claim.run_lock, *claim.slots.values())
            # above the descriptors that the worker receives, so that handing one over never overwrites another
            fds = [fcntl.fcntl(lock.fd, fcntl.F_DUPFD_CLOEXEC, RUN_FD + len(locks)) for lock in locks]
            for fd in fds:
                held.callback(os.close, fd)
            pid = os.posix_spawnp(
                command[0],
                command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *((os.POSIX_SPAWN_DUP2, fd, RUN_FD + place) for place, fd in enumerate(fds)),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD),
            )
        with self._guard:
            self._children[pid] = attempt

    def poll(self, attempts: Iterable[Attempt]) -> Mapping[Attempt, Life]:
        """Return which attempts still have a live process; also keeps own children from staying zombies.

        A process is alive while its run lock is held; an own child also until it was collected. How one ended is told
        every time: whoever asked may find that another server is just burying it, and that one may be killed.
        """
        with self._guard:
            self._collect_children()
            children = set(self._children.values())
            return {attempt: self._life(attempt, children) for attempt in attempts}

    def _life(self, attempt: Attempt, children: set[Attempt]) -> Life:
        if attempt in children or is_locked(self._paths.run_lock(attempt.job_id)):
            return Life("running")
        return Life("gone", self._exits.get(attempt))

    def _collect_children(self) -> None:
        for pid, attempt in list(self._children.items()):
            if (found := _collect(pid)) is not None:
                self._exits[attempt] = found
                del self._children[pid]
        while len(self._exits) > _EXITS_KEPT:
            del self._exits[next(iter(self._exits))]

    def cancel(self, attempt: Attempt, *, force: bool) -> bool:
        """Send SIGTERM, or with `force` SIGKILL until nothing is left."""
        mark = marker(attempt.job_id, attempt.number)
        return kill_leftovers(mark) if force else signal_all(mark, signal.SIGTERM) == 0

    def logs(self, job_id: str, *, offset: int | None, max_bytes: int) -> LogPage:
        """Return part of log.txt; no offset means the end."""
        return read_log(JobFolder(self._paths, job_id).log, offset=offset, max_bytes=max_bytes)

    def adopt(self, job_id: str) -> Attempt | None:
        """Return the attempt that holds the job's run lock, as its claim file names it."""
        claim = JobFolder(self._paths, job_id).read_claim()
        if claim is None or not is_locked(self._paths.run_lock(job_id)):
            return None
        return Attempt(job_id, int(claim["attempt"]))


def _collect(pid: int) -> Exit | None:
    """Return how a child ended, or None while it lives."""
    with suppress(ChildProcessError):
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done == 0:
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return Exit(os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit)
    return Exit(None, None)
