"""Work that several processes do together, started by torchrun and watched by the run that they belong to.

They keep checkpoints where the run keeps its own. When they have ended well, the last one holds everything, and what
one process would do goes on from there: that is why nothing else has to know of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from interp_lab.errors import WorkerKilled
from interp_lab.jobs.failures import error_of
from interp_lab.jobs.processes import kill_leftovers
from interp_lab.jobs.rankrun import OWNER, rank_folder
from interp_lab.jobs.run import Run

_LOOK_S = 0.1
_GONE_S = 30.0
_TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--max-restarts", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """A group of processes on one machine."""

    module: str
    """What each of them runs."""
    arguments: tuple[str, ...]
    n: int
    crash_budget: int
    """Groups that may break, a process of theirs having died, before the work fails."""
    grace_s: float
    """Seconds between asking them to end and killing them."""

    def work(self, run: Run) -> None:
        """Return once they have ended well; a group that broke is started again from the last checkpoint.

        Raises:
            LabError: What one of them was refused with, or that groups broke too often.
        """
        for deaths in range(1, self.crash_budget + 1):
            if self._ended_well(run):
                return
            run.log.warning("A process of the %d that train together was lost (%d).", self.n, deaths)
        raise WorkerKilled(f"{self.n} processes that train together broke {self.crash_budget} times.")

    def _ended_well(self, run: Run) -> bool:
        folder = rank_folder(run.checkpoint_dir)
        folder.prepare()
        process = self._start()
        read = 0
        try:
            while process.poll() is None:
                read = _relay(run, read)
                time.sleep(_LOOK_S)
        finally:
            self._end(process)
            self._bury()
        _relay(run, read)
        if (failure := folder.read_failure()) is not None:
            raise error_of(failure)
        return process.returncode == 0

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, *_TORCHRUN, "--nproc-per-node", str(self.n), "-m", self.module, *self.arguments]
        return subprocess.Popen(  # noqa: S603  # this interpreter with arguments of ours
            command, stdin=subprocess.DEVNULL, env=os.environ | {OWNER: str(os.getpid())}, start_new_session=True
        )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End what still runs: torchrun hands the wish on, and the first process keeps its work."""
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _bury(self) -> None:
        """Wait until no process of the group is left, also none whose torchrun was killed.

        Raises:
            WorkerKilled: One cannot be ended; another group beside it would write the same files.
        """
        if not kill_leftovers(str(os.getpid()), variable=OWNER, within_s=_GONE_S):
            raise WorkerKilled(f"Processes that train together were there {_GONE_S:.0f} s after they were killed.")


def _relay(run: Run, offset: int) -> int:
    """Hand on what the first of them has said, and return how much of its measurements is read."""
    folder = rank_folder(run.checkpoint_dir)
    lines, offset = folder.lines_from(offset)
    for step, values in lines:
        run.record(step, values)
    told = folder.progress.read()
    message = str(told.get("message") or "starting processes that train together")
    run.progress(float(told.get("done") or 0), told.get("total"), message, str(told.get("unit") or ""))
    return offset
