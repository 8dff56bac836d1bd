"""Processes of this machine: the job's own slot first, then other slots that are free and that nobody waits for."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from interp_lab.artifacts.locks import FileLock, try_lock
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.environment import MARKER, device_of
from interp_lab.jobs.places.base import Task, TaskState
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    lock: FileLock | None
    """Slot that it took besides the job's own."""


class LocalPlace:
    """Children of this process, each with its slot and marked as the job's own."""

    detached = False
    interval_s = 0.1
    lag_s = 0.0

    def __init__(
        self, settings: Settings, paths: WorkspacePaths, *, slot: str, claimed: Callable[[], bool] = lambda: False
    ) -> None:
        """Give the tasks of the job in `slot` other slots, too, while `claimed` says that they are for no other job."""
        self._claimed = claimed
        self._command = settings.worker()
        kind: SlotKind = "gpu" if slot.startswith("gpu") else "cpu"
        count = settings.gpu_slots if kind == "gpu" else settings.cpu_slots
        self._own = slot
        self._others = [(name, paths.slot(name)) for i in range(count) if (name := f"{kind}-{i}") != slot]
        self._running: dict[str, _Running] = {}
        self._taken: list[tuple[str, FileLock | None]] = []

    def room(self, wanted: int, under_way: int) -> int:
        """Return how many of the wanted tasks may start: one in the job's own slot, others in slots free just now.

        A job that waits has a better right to those than further shards of one that runs.
        """
        del under_way  # slots say it
        self._collect()
        own_is_free = all(running.lock is not None for running in self._running.values())
        if own_is_free and self._own not in {name for name, _ in self._taken}:
            self._taken.append((self._own, None))
        others = () if len(self._taken) >= wanted or not self._others or self._claimed() else self._others
        for name, path in others:
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
