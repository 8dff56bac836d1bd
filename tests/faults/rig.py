"""What the fault tests share: settings with the misbehaving worker, servers to kill, waiting with a deadline, books."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import MARKER
from interp_lab.jobs.job import Job
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings

HERE = Path(__file__).parent
LONG = os.environ.get("INTERP_LAB_FAULTS") == "long"
"""Whether the long versions were asked for."""
HANGS_AFTER_S = 900.0 if LONG else 600.0
"""Ends a test that hangs; no test is decided by it."""
HELD_AT = 2
"""The step in which a job with a gate waits."""


def settings(workspace: Path, *, worker: str = "worker.py", **options: Any) -> Settings:
    """Return settings whose workers run one of the scripts beside this file."""
    defaults: dict[str, Any] = {"cpu_slots": 2, "gpu_slots": 0, "min_free_bytes": 0, "ballast_bytes": 2**16}
    command = (sys.executable, "-P", str(HERE / worker))
    return Settings(workspace=workspace, worker_command=command, **(defaults | options))


def spec(capability: str, *, slot: Any = "cpu", **request: Any) -> JobSpec:
    """Return the spec of one misbehaviour."""
    return JobSpec(capability=capability, request=request, slot=slot, code_version="test")


def wait_for(condition: Callable[[], object], *, what: str = "the condition") -> None:
    """Poll until the condition holds; end a test that would wait for ever, and never one that is only slow."""
    deadline = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {HANGS_AFTER_S} s"
        time.sleep(0.02)


class Gate:
    """Where a job that counts waits, in the step `HELD_AT`, until the test lets it go: nothing depends on who is fast.

    `request` is what its spec needs besides the steps, of which there must be more.
    """

    def __init__(self, workspace: Path) -> None:
        self._file = workspace / "gate"
        self._file.touch()
        self.book = workspace / "book"
        self.request: dict[str, Any] = {"gate": str(self._file), "held_at": HELD_AT, "book": str(self.book)}

    def reached(self) -> bool:
        """Return whether the job is in that step, and will be there until it is let go."""
        return any(line.word == "step" and line.step == HELD_AT for line in read_book(self.book))

    def open(self) -> None:
        """Let the job go on."""
        self._file.unlink()


def drive(engine: JobEngine, job_id: str, *, until: Callable[[Job], object]) -> Job:
    """Tick until the job is as wanted, and return it; what is wanted must be sure to last until it is seen."""

    def there() -> bool:
        engine.tick()
        return bool(until(engine.get(job_id)))

    wait_for(there, what=f"the wanted state of job {job_id}")
    return engine.get(job_id)


def finish(engine: JobEngine, job_id: str) -> Job:
    """Tick until the job has ended, and return it; its process may still be clearing up, see `settle`."""
    return drive(engine, job_id, until=lambda job: job.final)


def worker_pids(workspace: Path) -> list[int]:
    """Return every live process that belongs to a job of the workspace."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
            ours = MARKER in env and env.get("INTERP_LAB_WORKSPACE") == str(workspace)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def settle(workspace: Path) -> None:
    """Wait until every worker of the workspace has ended: a job is over a moment before its process is."""
    wait_for(lambda: not worker_pids(workspace), what="the end of every worker")


def start_server(config: Settings, *, tick_s: float = 0.05) -> subprocess.Popen[bytes]:
    """Start a process that does nothing but tick."""
    return subprocess.Popen(
        [sys.executable, "-P", str(HERE / "server.py"), str(tick_s)],
        env=os.environ | config.to_env(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def servers(config: Settings, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run servers for the block, then kill them and every worker they started."""
    running = [start_server(config) for _ in range(count)]
    try:
        yield running
    finally:
        for server in running:
            server.kill()
            server.wait()
        for pid in worker_pids(config.workspace):
            kill(pid)


def kill(pid: int) -> bool:
    """Kill a process without warning; return whether it was there."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Line:
    """One line of a book: what a worker did and when, on a clock that all processes share."""

    word: str
    job: str
    attempt: int
    pid: int
    step: int
    at: int


def read_book(path: Path) -> list[Line]:
    """Return what the workers wrote, in the order of time; of a line that is just being written, nothing."""
    lines: list[Line] = []
    for text in path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []:
        word, job, attempt, pid, step, at = text.split()
        lines.append(Line(word, job, int(attempt), int(pid), int(step), int(at)))
    return sorted(lines, key=lambda line: line.at)


def overlapping_attempts(lines: list[Line]) -> int:
    """Return how often two attempts at one job were seen at work in turns: a double run."""
    by_job: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        by_job[line.job].append(line.attempt)
    return sum(earlier > later for attempts in by_job.values() for earlier, later in pairwise(attempts))


def most_at_once(lines: list[Line]) -> int:
    """Return how many attempts were at work at one time, by their first and last lines."""
    spans: dict[tuple[str, int], list[int]] = defaultdict(list)
    for line in lines:
        spans[line.job, line.attempt].append(line.at)
    edges = sorted([(min(times), 1) for times in spans.values()] + [(max(times), -1) for times in spans.values()])
    level = highest = 0
    for _, change in edges:
        level += change
        highest = max(highest, level)
    return highest


def redone_steps(lines: list[Line]) -> int:
    """Return how many steps were done more than once."""
    steps = [(line.job, line.step) for line in lines if line.word == "step"]
    return len(steps) - len(set(steps))


def wrong_artifacts(engine: JobEngine, job_id: str, steps: int) -> int:
    """Return 0 if the job has exactly one artifact with exactly the right bytes, else 1."""
    manifests = engine.artifacts_of(job_id)
    if len(manifests) != 1 or not engine.artifacts.verify(manifests[0].id).ok:
        return 1
    text = engine.artifacts.read_file(manifests[0].id, "tally.txt").decode()
    return int(text != "".join(f"{i}\n" for i in range(steps)))


def integrity(engine: JobEngine) -> str:
    """Return what SQLite's own full check says about the catalogue."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(engine.paths.catalog)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
