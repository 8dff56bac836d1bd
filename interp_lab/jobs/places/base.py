"""What every place can do: start a runner program, say how it stands, and end it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings

TaskState = Literal["waiting", "running", "ended", "unknown"]
"""unknown: the place does not answer; nothing is decided until it does."""
CLUSTER_LAG_S = 90.0
"""Longer than a file system such as NFS may go on showing a folder as it was, a minute at most by default."""

ANSWER_S = 5.0
"""How long a cluster is waited for where somebody only wants to know whether it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One start of the runner program."""

    name: str
    """Used once and never again, so that starting it twice can be noticed."""
    arguments: tuple[str, ...]
    """What follows the worker command."""
    mark: str
    """Value of the variable by which every process of the attempt is found and killed; for tasks that die with it."""
    log: Path
    folder: Path
    """On the shared file system; the place may keep files of its own in it."""
    slot: SlotKind
    processes: int = 1
    """Processes that it consists of on each of its machines, each with processors or an accelerator of its own."""
    nodes: int = 1
    """Machines on which the program is started at once, each told by `nodes.Node` which one it is."""


class Problem(NamedTuple):
    """What keeps a place from working."""

    what: str
    remedy: str


def logged(settings: Settings, task: Task, variables: str = "") -> str:
    """Return the shell command that runs a task and writes to its log; signals reach the program itself.

    `variables` are assignments for the shell, each `NAME=value`.
    """
    told = f"export {variables}; " if variables else ""
    return f"{told}exec {shlex.join((*settings.worker(), *task.arguments))} >> {shlex.quote(str(task.log))} 2>&1"


class Place(Protocol):
    """Somewhere with processors."""

    detached: bool
    """Whether tasks outlive the process that started them."""
    interval_s: float
    """How often it is worth asking."""
    lag_s: float
    """How long after a task's end its last file may still be on its way."""

    def room(self, wanted: int, under_way: int) -> int:
        """Return how many of the wanted tasks may be started now; so many are then started."""
        ...

    def start(self, task: Task) -> str:
        """Start a task and return the handle by which this place knows it.

        Raises:
            ClusterUnavailable: The place did not take it.
        """
        ...

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        """Return how tasks stand; one that is not known any more has ended."""
        ...

    def stop(self, handle: str, *, force: bool) -> None:
        """Ask a task to end, or with `force` end it; harmless when it has ended."""
        ...

    def close(self) -> None:
        """Let go of what the place holds in this process."""
        ...
