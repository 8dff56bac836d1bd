"""The runner program of a part: the same on every machine, told what to do by the job's folder, answering in it.

It never opens the catalogue and holds no lock: on another machine neither can be trusted.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import InvalidSetting, JobFilesCorrupt, LabError
from interp_lab.jobs.clock import SystemClock
from interp_lab.jobs.failures import failure_of, tell
from interp_lab.jobs.follow import Follower
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.nodes import MeetingPlace, Node
from interp_lab.jobs.parts.exchange import Exchange
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.jobs.parts.record import Outcome, PartFolder, PartName, PartState
from interp_lab.jobs.parts.sharding import Sharding, damaged, shards_of
from interp_lab.jobs.rankrun import rank_folder
from interp_lab.jobs.run import Run
from interp_lab.jobs.signals import BrokenJob, CancelledJob, InterruptedJob
from interp_lab.jobs.spec import JobSpec
from interp_lab.jobs.stop import StopSign, Watch
from interp_lab.settings import Settings

PART_FLAG = "--part"
EXIT_SUPERSEDED = 76
_EXITS: Mapping[PartState, int] = {
    "done": 0,
    "cancelled": 0,
    "failed": 1,
    "damaged": 1,
    "broken": 1,
    "interrupted": 75,
}
_BEAT_EVERY = 4
"""Signs of life are left every so many looks at the cancel file."""
_PARENT_S = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """What one capability does with a request."""

    request: Any
    whole: Callable[[Run], Mapping[str, Any]]
    """Does all of it, going on from the checkpoint, and returns the result."""
    sharding: Sharding | None
    processes: int = 1
    """Processes that do it together on each machine."""
    nodes: int = 1
    """Machines of a cluster that do it together."""

    @property
    def n_shards(self) -> int:
        """How many shards are wanted; 1 where the work cannot be cut."""
        return 1 if self.sharding is None else self.sharding.count(self.request)


FindWork = Callable[[JobSpec], Work]


def part_arguments(job_id: str, name: PartName, number: int) -> tuple[str, ...]:
    """Return what follows the worker command to make it run one part."""
    return (PART_FLAG, job_id, str(name), str(number))


def run_part(arguments: Sequence[str], find: FindWork) -> int:
    """Run the part that the arguments name, write its outcome, and return the exit status.

    Raises:
        InvalidSetting: The arguments are not those of `part_arguments`.
    """
    if len(arguments) != 4 or arguments[0] != PART_FLAG or not arguments[3].isdigit():
        raise InvalidSetting(f"A part is run with {PART_FLAG} JOB NAME NUMBER.")
    settings = Settings.from_env()
    program = _Program(settings, arguments[1], PartName.parse(arguments[2]), int(arguments[3]))
    node = Node.from_env()
    if node is not None:
        threading.Thread(target=_end_with, args=(os.getppid(),), name="interp-lab-parent", daemon=True).start()
    return program.run(find) if node is None or node.index == 0 else program.follow(node)


def _end_with(parent: int) -> None:
    """Ask this process to end when what started it on this machine is gone: then the place has given the task up."""
    waiting = threading.Event()
    while not waiting.wait(_PARENT_S):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return


class _Program:
    """One try at one part."""

    def __init__(self, settings: Settings, job_id: str, name: PartName, number: int) -> None:
        self._settings = settings
        self._paths = WorkspacePaths.of(settings)
        self._job = JobFolder(self._paths, job_id)
        self._part = PartFolder(self._job.parts, name)
        self._exchange = Exchange(settings, job_id)
        self._number = number
        self._clock = SystemClock()
        self._started_s = self._clock.boot_s()
        self._stop = StopSign(self._job.cancel_flag, superseded=self._superseded)
        self._run: PartRun | None = None
        self._beats = 0

    def run(self, find: FindWork) -> int:
        if self._superseded():
            return EXIT_SUPERSEDED
        self._stop.install()
        os.chdir(self._paths.workspace)
        grace = self._settings.kill_grace_s
        with Watch(self._stop, grace_s=grace, housekeeping=self._keep_house, kill=lambda: os._exit(1)):
            outcome = self._outcome(find)
            if not (superseded := self._superseded()):
                self._part.write_outcome(outcome)
            if superseded or outcome.state != "done":
                self._exchange.withdraw(self._part, self._number)
        return EXIT_SUPERSEDED if superseded else _EXITS[outcome.state]

    def follow(self, node: Node) -> int:
        """Work along with the first of several machines."""
        parent = os.getppid()

        def over() -> bool:
            outcome = self._part.read_outcome()
            ended = outcome is not None and outcome.number == self._number
            return ended or self._stop.cancelled or self._superseded() or os.getppid() != parent

        place = MeetingPlace(rank_folder(self._job.checkpoint).path, node.group)
        return Follower(node=node, place=place, over=over, grace_s=self._settings.kill_grace_s / 2).work()

    def _outcome(self, find: FindWork) -> Outcome:
        try:
            stored = self._job.read_spec(None)
            run = self._run = PartRun(
                self._paths, stored, self._part, number=self._number, clock=self._clock, stop=self._stop
            )
            run.progress(0.0, None, "started")
            work = find(stored.spec)
            found = self._lead(work, run) if self._part.name.shard is None else self._shard(work, run)
            run.flush_progress()
        except InterruptedJob:
            self._keep_house()  # how far it got decides how often it may be asked to end
            return self._ended("interrupted")
        except BrokenJob:
            return self._ended("broken")
        except CancelledJob:
            return self._ended("cancelled")
        except BaseException as error:  # noqa: BLE001  # the boundary: every way to fail becomes a recorded failure
            with suppress(OSError):
                tell(error)
            return self._ended("failed", error=failure_of(error, self._paths))
        return found

    def _lead(self, work: Work, run: PartRun) -> Outcome:
        stage, sharding = self._part.name.stage, work.sharding
        if sharding is not None and work.n_shards > 1:
            if stage > 0:
                shards = shards_of(self._job.parts, stage - 1, len(self._planned(stage - 1)))
                run.progress(0, None, "checking what the shards made")
                for shard in shards:
                    self._exchange.fetch(shard, run.check)
                if bad := damaged(shards):
                    return self._ended("damaged", damaged=bad)
                sharding.gather(work.request, run, [shard.output for shard in shards])
                for shard in shards:
                    self._exchange.drop(shard)
            payloads = tuple(sharding.plan(work.request, run, stage))
            if payloads:
                return self._ended("done", payloads=payloads)
        result = work.whole(run)
        return self._ended("done", result=dict(result), artifacts=tuple(run.sealed))

    def _shard(self, work: Work, run: PartRun) -> Outcome:
        name = self._part.name
        payloads = self._planned(name.stage)
        if work.sharding is None or name.shard is None or name.shard >= len(payloads):
            raise JobFilesCorrupt(f"{name} was not planned.")
        work.sharding.shard(work.request, run, payloads[name.shard])
        files = self._part.made()
        objects = self._exchange.hand_over(self._part, self._number, files, run.check)
        return self._ended("done", files=files, objects=objects)

    def _planned(self, stage: int) -> Sequence[JsonValue]:
        outcome = PartFolder(self._job.parts, PartName(stage)).read_outcome()
        if outcome is None or outcome.payloads is None:
            raise JobFilesCorrupt(f"The plan of stage {stage} cannot be read.")
        return outcome.payloads

    def _ended(self, state: PartState, **values: Any) -> Outcome:
        seconds = self._clock.boot_s() - self._started_s
        return Outcome(number=self._number, state=state, host=socket.gethostname(), seconds=seconds, **values)

    def _superseded(self) -> bool:
        """Whether another try has been started in this one's place."""
        start = self._part.read_start()
        return start.number > self._number

    def _keep_house(self) -> None:
        with suppress(OSError, LabError):
            if self._run is not None:
                self._run.flush_progress()
        if self._beats % _BEAT_EVERY == 0:
            self._part.beat(self._beats)
        self._beats += 1


def output_files(outputs: Sequence[Path], pattern: str) -> tuple[Path, ...]:
    """Return the files of that pattern in the outputs of shards, shard by shard, by name within each."""
    return tuple(path for output in outputs for path in sorted(output.glob(pattern)))
