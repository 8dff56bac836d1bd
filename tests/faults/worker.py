"""A worker whose work is misbehaving on demand; started by the engine in place of the real one."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import write_durably
from interp_lab.errors import InvalidModel
from interp_lab.jobs import runner
from interp_lab.jobs.run import Run
from interp_lab.jobs.runner import run_claimed
from interp_lab.jobs.spec import JobSpec


def note(path: str | None, word: str, run: Run, step: int = -1) -> None:
    """Append one line to a book outside the workspace; a single small append is atomic."""
    if path:
        line = f"{word} {run.job_id} {run.attempt} {os.getpid()} {step} {time.monotonic_ns()}\n"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, line.encode())
        os.close(fd)


def wait_at(gate: str) -> None:
    """Wait as long as the file is there, hearing nothing; the test that made it may be gone long ago."""
    deadline = time.monotonic() + 900.0
    while Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def count(
    run: Run,
    steps: int,
    step_s: float = 0.0,
    book: str | None = None,
    pad: int = 0,
    gate: str | None = None,
    held_at: int = -1,
) -> dict[str, Any]:
    """Count in checkpointed steps and publish the tally; in the step `held_at`, wait at the gate."""
    note(book, "begin", run)
    saved = run.checkpoint_dir / "step.json"
    first = json.loads(saved.read_bytes())["step"] if saved.exists() else 0
    for step in range(first, steps):
        run.progress(step, steps, "counting", "steps")
        note(book, "step", run, step)
        if gate and step == held_at:
            wait_at(gate)
        time.sleep(step_s)
        write_durably(saved, json.dumps({"step": step + 1}).encode())
    with run.artifact("tally", "What was counted") as artifact:
        artifact.write_text("tally.txt", "".join(f"{i}\n" for i in range(steps)))
        artifact.write_bytes("pad.bin", bytes(pad))
        artifact.metrics["steps"] = steps
    note(book, "end", run)
    return {"steps": steps, "first": first, "artifact": artifact.id}


def spin(run: Run, book: str) -> dict[str, Any]:
    """Hold the interpreter in one C call: no Python signal handler runs, no thread runs."""
    run.progress(0, None, "spinning")
    note(book, "spinning", run)
    return {"sum": sum(range(10**13))}


def sleepy(run: Run, book: str | None = None) -> dict[str, Any]:
    """Sleep in a way that never asks whether to stop."""
    run.progress(0, None, "asleep")
    note(book, "asleep", run)
    end = time.monotonic() + 3600
    while time.monotonic() < end:
        time.sleep(0.1)
    return {}


def litter(run: Run, seconds: float, *, forget: bool = False) -> dict[str, Any]:
    """Leave a forked child and one in a session of its own behind; end, or wait to be killed."""
    forked = os.fork()
    if forked == 0:
        time.sleep(seconds)
        os._exit(0)
    other = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep({seconds})"],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    run.progress(0, None, f"littered {os.getpid()} {forked} {other.pid}")
    if not forget:
        time.sleep(seconds)
    return {"pids": [forked, other.pid]}


def fill(run: Run, where: str, mib: int, disk: str) -> dict[str, Any]:
    """Write more than the disk holds: into an artifact, a checkpoint, or so that the catalogue has no page left."""
    saved = run.checkpoint_dir / "step.json"
    first = json.loads(saved.read_bytes())["step"] if saved.exists() else 0
    write_durably(saved, json.dumps({"step": first + 1}).encode())
    big = run.checkpoint_dir / "big.bin"
    if where == "checkpoint":
        write_durably(big, bytes(mib * 2**20))
        big.unlink()
    with run.artifact("bulk", "Much") as artifact:
        artifact.write_bytes("big.bin", bytes(mib * 2**20 if where == "artifact" else 10))
    if where == "catalogue" and first == 0:
        fill_to_the_brim(run.workspace / "brim", mib, disk)
    return {"resumed_at": first}


def fill_to_the_brim(path: Path, mib: int, disk: str) -> None:
    """Leave no byte; the file stays, as another program's would."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            if disk == "limit":
                raise


def crash(run: Run, how: str) -> dict[str, Any]:
    """End in one of the ways in which programs end."""
    run.progress(0, None, "about to end")
    sys.stderr.write("last words\n")
    ends: dict[str, Callable[[], object]] = {
        "kill": lambda: os.kill(os.getpid(), 9),
        "segfault": lambda: ctypes.string_at(0),
        "exit": lambda: sys.exit(7),
        "memory": lambda: bytearray(2**62),
        "recursion": lambda: crash(run, how),
        "surrogate": lambda: (_ for _ in ()).throw(ValueError("bad \ud800 text")),
    }
    if how == "known":
        raise InvalidModel("The model is not one.", remedy="Take another.")
    ends[how]()
    return {}


def shout(run: Run, lines: int) -> dict[str, Any]:
    """Write a long log, its last line while nobody cuts it: what is written during a cut may be lost."""
    cut, cutting = runner.cap_log, threading.Lock()

    def cut_in_turn(log: Path, cap_bytes: int) -> bool:
        with cutting:
            return cut(log, cap_bytes)

    runner.cap_log = cut_in_turn
    for number in range(lines):
        with cutting if number == lines - 1 else nullcontext():
            sys.stdout.write(f"line {number:09d} {chr(120) * 80}\n")
        if number % 1000 == 0:
            run.progress(number, lines, "shouting")
            time.sleep(0.02)
    return {}


def echo(run: Run, **values: Any) -> dict[str, Any]:
    """Return what the process was given."""
    run.log.info("echo from %s", run.job_id)
    return {"values": values, "env": dict(os.environ), "stdin": sys.stdin.read(), "cwd": str(Path.cwd())}


def execute(spec: JobSpec, run: Run) -> Mapping[str, Any]:
    """Do what the capability's name says."""
    return globals()[spec.capability](run, **spec.request)


if __name__ == "__main__":
    sys.exit(run_claimed(execute))
