"""Work that several processes do together, started by torchrun and watched by the run that they belong to.

They keep checkpoints where the run keeps its own. When they have ended well, the last one holds everything, and what
one process would do goes on from there: that is why nothing else has to know of them.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from interp_lab.errors import InvalidRequest, WorkerKilled
from interp_lab.jobs import torchrun
from interp_lab.jobs.failures import error_of
from interp_lab.jobs.nodes import Meeting, MeetingPlace, Node, free_port
from interp_lab.jobs.rankrun import rank_folder
from interp_lab.jobs.run import Run
from interp_lab.jobs.signals import BrokenJob, InterruptedJob

_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """A group of processes, on this machine or on several of which this is the first."""

    module: str
    """What each of them runs."""
    arguments: tuple[str, ...]
    n: int
    """Processes on each machine."""
    crash_budget: int
    """Groups that may break, a process of theirs having died, before the work fails."""
    grace_s: float
    """Seconds between asking them to end and killing them."""
    nodes: int = 1
    """Machines; what runs on the others is `follow.Follower`."""

    def work(self, run: Run) -> None:
        """Return once they have ended well; a group that broke is started again from the last checkpoint.

        Raises:
            LabError: What one of them was refused with, or that groups broke too often.
            BrokenJob: A group on several machines broke: the place that started them has to start all of them anew.
        """
        if self.nodes > 1:
            self._work_with_others(run)
            return
        for deaths in range(1, self.crash_budget + 1):
            if self._ended_well(run):
                return
            run.log.warning("A process of the %d that train together was lost (%d).", self.n, deaths)
        raise WorkerKilled(f"{self.n} processes that train together broke {self.crash_budget} times.")

    def _work_with_others(self, run: Run) -> None:
        node = Node.from_env()
        if node is None:
            raise InvalidRequest(
                f"Nobody has started {self.nodes} machines for this: only jobs on a cluster have them."
            )
        if not self._ended_well(run, node):
            run.log.warning("A process on one of %d machines was lost.", self.nodes)
            raise BrokenJob

    def _ended_well(self, run: Run, node: Node | None = None) -> bool:
        folder = rank_folder(run.checkpoint_dir)
        folder.prepare()
        place = None if node is None else MeetingPlace(folder.path, node.group)
        process = self._start(node, place)
        read = 0
        try:
            while process.poll() is None:
                read = _relay(run, read)
                if place is not None and place.is_asked_to_end():
                    raise InterruptedJob
                time.sleep(_LOOK_S)
        finally:
            torchrun.end(process, self.grace_s)
            torchrun.bury()
        _relay(run, read)
        if (failure := folder.read_failure()) is not None:
            raise error_of(failure)
        return process.returncode == 0

    def _start(self, node: Node | None, place: MeetingPlace | None) -> subprocess.Popen[bytes]:
        if node is None or place is None:
            return torchrun.start_alone(self.module, self.arguments, self.n)
        meeting = Meeting(
            host=node.address,
            port=free_port(),
            nodes=self.nodes,
            module=self.module,
            arguments=self.arguments,
            n=self.n,
        )
        process = torchrun.start_with_others(meeting, node.index)
        place.call(meeting)
        return process


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
