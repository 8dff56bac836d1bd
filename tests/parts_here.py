"""A place whose tasks run at once in this process: what shards make is tested without starting one process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.clock import SystemClock
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.jobrun import JobRun
from interp_lab.jobs.ledger import Attempt
from interp_lab.jobs.parts.conduct import Conductor
from interp_lab.jobs.parts.program import FindWork, run_part
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.jobs.places.base import Task, TaskState
from interp_lab.jobs.spec import JobSpec, StoredSpec
from interp_lab.jobs.stop import StopSign
from interp_lab.settings import Settings

JOB = "0" * 31 + "1"


@dataclass
class HerePlace:
    """Runs each task to its end when it is started, unless a test lets it vanish."""

    find: FindWork
    environment: Mapping[str, str]
    vanish: Callable[[str], bool] = lambda _: False
    """(task name) → whether the task ends without having done anything."""
    after: Callable[[str], None] = lambda _: None
    detached = False
    interval_s = 0.0
    lag_s = 0.0
    started: list[str] = field(default_factory=list)

    def room(self, wanted: int, under_way: int) -> int:
        return min(wanted, 1)

    def start(self, task: Task) -> str:
        name = task.name.removeprefix(f"{JOB}-")
        self.started.append(name)
        if not self.vanish(name):
            with as_a_process(self.environment):
                run_part(task.arguments, self.find)
            self.after(name)
        return name

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        return dict.fromkeys(handles, "ended")

    def stop(self, handle: str, *, force: bool) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def as_a_process(environment: Mapping[str, str]) -> Iterator[None]:
    """Give back what the program of a part takes as its own: directory, signals, variables."""
    here, before = Path.cwd(), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    os.environ.update(environment)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def job_of(settings: Settings, capability: str, request: Mapping[str, Any]) -> JobRun:
    """Return the run of a job that was taken on and claimed, without an engine."""
    paths = WorkspacePaths.of(settings)
    paths.prepare()
    stored = StoredSpec(
        id=JOB,
        spec=JobSpec(capability=capability, request=dict(request)),
        key="auto:test",
        created_at=datetime.now(UTC).isoformat(),
        resumes=None,
    )
    folder = JobFolder(paths, JOB)
    folder.path.mkdir()
    (folder.path / "spec.json").write_bytes(stored.encode())
    return JobRun(paths, stored, Attempt(JOB, 1), clock=SystemClock(), stop=StopSign(folder.cancel_flag))


def in_parts(run: JobRun, settings: Settings, place: HerePlace) -> Mapping[str, Any]:
    """Return the result of the job, done in parts."""
    return Conductor(run, JobFolder(WorkspacePaths.of(settings), JOB), place, settings, slot="cpu").finish()


def part(settings: Settings, name: PartName) -> PartFolder:
    """Return the folder of one part of the job."""
    return PartFolder(JobFolder(WorkspacePaths.of(settings), JOB).parts, name)


def damage(path: Path) -> None:
    """Change the last byte, as a fault of a disk does; other names of the file stay as they were."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def published(folders: Sequence[Path]) -> dict[str, Any]:
    """Return every file but the pages, the report without what says how and when it was run and what to call next."""
    files = [path for folder in folders for path in folder.iterdir() if path.name != "manifest.json"]
    found: dict[str, Any] = {path.name: path.read_text() for path in files if path.suffix in {".jsonl", ".json"}}
    if "report.json" in found:
        report = json.loads(found.pop("report.json"))
        found["report"] = {name: value for name, value in report.items() if name not in {"run", "agent_next_actions"}}
        for card in found["report"].get("paths", ()):
            card["next_action"] = None
    return found
