"""Processes of this machine: the job's own slot first, then whichever other slots are free."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from interp_lab.artifacts.locks import FileLock, try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.environment import MARKER, device_of
from interp_lab.jobs.places.base import Task, TaskState
from interp_lab.jobs.run import Run
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings

_LOOK_S = 0.2


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    lock: FileLock | None
    """Slot that it took besides the job's own."""


@contextmanager
def accelerators(run: Run, settings: Settings, paths: WorkspacePaths, *, slot: str, n: int) -> Generator[None]:
    """Show this process so many accelerators in the block, its own and those of slots that are free.

    Processors are not counted: a slot of them says how many jobs run at once, not what a job may use.

    Raises:
        ClusterUnavailable: Not so many were free for `silence_s`, and as long again for each slot before the job's own:
            of jobs that wait for each other one gives up first, and the others get what it held.
    """
    if n == 1 or not slot.startswith("gpu"):
        yield
        return
    others = [name for i in range(settings.gpu_slots) if (name := f"gpu-{i}") != slot]
    with ExitStack() as held:
        taken: list[str] = []
        until = time.monotonic() + settings.silence_s * (1 + int(slot.removeprefix("gpu-")))
        while True:
            for name in others:
                if len(taken) < n - 1 and name not in taken and (lock := try_lock(paths.slot(name))) is not None:
                    held.callback(lock.close)
                    taken.append(name)
            if len(taken) == n - 1:
                break
            if time.monotonic() > until:
                raise ClusterUnavailable(f"{1 + len(taken)} of {n} accelerators were free for this job.")
            run.progress(0, None, f"waiting for {n} accelerators")
            time.sleep(_LOOK_S)
        before = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(device_of, (slot, *taken)))
        try:
            yield
        finally:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


class LocalPlace:
    """Children of this process, each with its slot and marked as the job's own."""

    detached = False
    interval_s = 0.1
    lag_s = 0.0

    def __init__(self, settings: Settings, paths: WorkspacePaths, *, slot: str) -> None:
        self._command = settings.worker()
        kind: SlotKind = "gpu" if slot.startswith("gpu") else "cpu"
        count = settings.gpu_slots if kind == "gpu" else settings.cpu_slots
        self._own = slot
        self._others = [(name, paths.slot(name)) for i in range(count) if (name := f"{kind}-{i}") != slot]
        self._running: dict[str, _Running] = {}
        self._taken: list[tuple[str, FileLock | None]] = []

    def room(self, wanted: int, under_way: int) -> int:
        """Return how many of the wanted tasks may start: one in the job's own slot, others in slots free just now."""
        del under_way  # slots say it
        self._collect()
        own_is_free = all(running.lock is not None for running in self._running.values())
        if own_is_free and self._own not in {name for name, _ in self._taken}:
            self._taken.append((self._own, None))
        for name, path in self._others:
            # a lock that this process holds already is as taken as anybody's
            if len(self._taken) < wanted and (lock := try_lock(path)) is not None:
                self._taken.append((name, lock))
        return min(wanted, len(self._taken))

    def start(self, task: Task) -> str:
        """Start a child in the first slot that `room` took.

        Raises:
            ClusterUnavailable: No process could be started.
        """
        slot, lock = self._taken.pop(0)
        environment = os.environ | {MARKER: task.mark, "CUDA_VISIBLE_DEVICES": device_of(slot)}
        try:
            with task.log.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  # the operator's own worker command
                    [*self._command, *task.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=() if lock is None else (lock.fd,),
                    start_new_session=True,
                )
        except OSError as error:
            self._taken.insert(0, (slot, lock))
            raise ClusterUnavailable(f"No process could be started: {error}.") from error
        self._running[str(process.pid)] = _Running(process, lock)
        return str(process.pid)

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        """Return which children still live."""
        self._collect()
        return {handle: "running" if handle in self._running else "ended" for handle in handles}

    def stop(self, handle: str, *, force: bool) -> None:
        """Signal the child's whole group."""
        if running := self._running.get(handle):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.process.pid, signal.SIGKILL if force else signal.SIGTERM)

    def close(self) -> None:
        """Give free slots back; those of living children stay theirs."""
        for _, lock in self._taken:
            if lock is not None:
                lock.close()
        self._taken.clear()

    def _collect(self) -> None:
        for handle, running in list(self._running.items()):
            if running.process.poll() is not None:
                if running.lock is not None:
                    running.lock.close()
                del self._running[handle]
