"""The run of one of several processes that train together: the first speaks for all, in files that the job reads."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.artifacts.durable import replace_quickly
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobFailure
from interp_lab.jobs.clock import SystemClock
from interp_lab.jobs.failures import failure_of, tell
from interp_lab.jobs.pace import Pace
from interp_lab.jobs.progress_file import ProgressFile
from interp_lab.jobs.run import LocalRun, metrics_line
from interp_lab.jobs.signals import InterruptedJob

OWNER = "INTERP_LAB_RANKS_OF"
"""Variable with the id of the process that all of them work for."""
_LOOK_S = 0.5


class RankFolder:
    """Where the processes of one group leave word for the run that they belong to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.metrics = folder / "metrics.jsonl"
        self.progress = ProgressFile(folder / "progress.json")
        self._failure = folder / "failure.json"

    def prepare(self) -> None:
        """Create the folder; what an earlier group said is forgotten."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.progress.forget()
        for path in (self._failure, self.metrics):
            path.unlink(missing_ok=True)

    def write_failure(self, error: BaseException, paths: WorkspacePaths) -> None:
        """Say why the work cannot be done."""
        replace_quickly(self._failure, canonical_json(failure_of(error, paths).model_dump(mode="json")))

    def read_failure(self) -> JobFailure | None:
        """Return why the work cannot be done, or None where nothing was said."""
        with suppress(OSError, ValueError):
            return JobFailure.model_validate_json(self._failure.read_bytes())
        return None

    def lines_from(self, offset: int) -> tuple[list[tuple[int, dict[str, float]]], int]:
        """Return the measurements that are whole behind an offset, and the offset behind them."""
        with suppress(OSError), self.metrics.open("rb") as file:
            file.seek(offset)
            whole, newline, _ = file.read().rpartition(b"\n")
            return [_measured(line) for line in whole.splitlines()], offset + len(whole) + len(newline)
        return [], offset


def _measured(line: bytes) -> tuple[int, dict[str, float]]:
    values: dict[str, Any] = json.loads(line)
    step, bad = int(values.pop("step")), values.pop("non_finite", ())
    return step, {name: float(value) for name, value in values.items()} | dict.fromkeys(bad, math.nan)


class RankRun(LocalRun):
    """What a process of a group gets to work with; checkpoints are the job's own."""

    def __init__(self, checkpoints: Path, *, seed: int, workspace: Path, leads: bool) -> None:
        super().__init__(checkpoints, seed=seed, workspace=workspace)
        self.folder = rank_folder(checkpoints)
        self._checkpoints = checkpoints
        self._leads = leads
        self._asked_to_end = False
        self._pace = Pace(0, SystemClock())

    @property
    def checkpoint_dir(self) -> Path:
        """The folder of the run that they belong to; only the first process writes there."""
        return self._checkpoints

    def listen(self) -> None:
        """Hear that the work is to end, in the first process only; end with the process that they all work for."""
        signal.signal(signal.SIGTERM, self._on_signal if self._leads else signal.SIG_IGN)
        owner, parent = int(os.environ.get(OWNER, "0")), os.getppid()
        threading.Thread(target=_end_with, args=(owner, parent), name="interp-lab-owner", daemon=True).start()

    def check(self) -> None:
        """Raise InterruptedJob in the first process if the work is to end; the others end with it."""
        if self._asked_to_end:
            raise InterruptedJob

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Say how far all of them are."""
        if self._leads:
            latest = self._pace.report(done, total, message, unit)
            if self._pace.due():
                self.folder.progress.write(latest)
        self.check()

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append to the measurements; the others leave that to the first."""
        if self._leads:
            with self.folder.metrics.open("ab") as file:
                file.write(metrics_line(step, values))

    def failed(self, error: BaseException, paths: WorkspacePaths) -> None:
        """Leave word of what no other try would mend."""
        tell(error)
        self.folder.write_failure(error, paths)

    def _on_signal(self, number: int, frame: object) -> None:
        del number, frame
        self._asked_to_end = True


def rank_folder(checkpoints: Path) -> RankFolder:
    """Return where the processes that share these checkpoints leave word."""
    return RankFolder(checkpoints / "ranks")


def _end_with(owner: int, parent: int) -> None:
    """End this process, stuck or not, as soon as the one that it works for, or the one that started it, is gone."""
    waiting = threading.Event()
    while not waiting.wait(_LOOK_S):
        if os.getppid() != parent or (owner and not lives(owner)):
            os._exit(1)


def lives(pid: int) -> bool:
    """Return whether a process still works; one that is dead and that nobody has collected does not."""
    import psutil  # lazy: as where processes are ended

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
