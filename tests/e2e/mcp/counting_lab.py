"""A lab with one more capability, whose job only counts: real processes, real catalogue, no torch.

Run as a program it is a stdio server (`serve`), an HTTP server (`http`) or the worker (`work`) of such a lab.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result
from interp_lab.errors import OutOfMemory
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab_tools import catalogue
from interp_lab_tools.capability import Effects, InlineCapability, JobCapability, Plan
from interp_lab_tools.lab import Lab

HERE = Path(__file__).resolve()
ROOT = HERE.parents[3]
TOOLSETS = frozenset({"core", "ops"})
Misdeed = Literal["print", "write", "exit", "raise", "surrogate", "huge", "nan"]


class CountRequest(JobRequest):
    """How far to count."""

    steps: Annotated[int, Field(ge=0, le=100_000)] = 3
    """Numbers to count."""
    step_s: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Seconds for each."""
    until: str | None = None
    """Count on until this file of the workspace exists."""
    fail: bool = False
    """Fail at the end."""


class CountResult(Result):
    """How far it counted."""

    total: int


def _plan(request: CountRequest, lab: Lab) -> Plan:
    return Plan(summary=f"Would count to {request.steps}.", details={"steps": request.steps}, label="count")


def _count(request: CountRequest, run: Run) -> CountResult:
    done = 0
    while done < request.steps or (request.until and not (run.workspace / request.until).exists()):
        time.sleep(request.step_s or 0.01)
        done += 1
        run.progress(done, max(done, request.steps), "counting\x1b[31m", "numbers")
    if request.fail:
        raise OutOfMemory("The count did not fit into memory.")
    with run.artifact("count_report", "A count \u202e of numbers") as artifact:
        artifact.write_text("report.md", f"Counted to {done}. \x1b[2J")
    return CountResult(summary=f"Counted to {done}.", total=done)


COUNT = JobCapability(
    name="count",
    title="Count",
    guidance="Counts, in a process of its own.",
    request=CountRequest,
    result=CountResult,
    plan=_plan,
    handler=_count,
    effects=Effects(read_only=False),
    toolset="core",
    changes="Nothing.",
    example={"steps": 3},
)


class MisbehaveRequest(JobRequest):
    """What to do wrong."""

    how: Misdeed


def _misbehave(request: MisbehaveRequest, lab: Lab) -> Result:
    text = "done"
    if request.how == "print":
        print("this must not reach the wire")  # noqa: T201
    elif request.how == "write":
        os.write(1, b'{"jsonrpc":"2.0","method":"notifications/forged"}\n')
        os.system("echo from a child")
    elif request.how == "exit":
        sys.exit(3)
    elif request.how == "raise":
        raise RuntimeError("secret detail")
    elif request.how == "surrogate":
        text = "half an emoji \ud83d, \x1b[31mred, \u202edrawkcab"
    elif request.how == "huge":
        text = "x" * 300_000
    elif request.how == "nan":
        return Result.model_construct(summary="numbers", extra={"value": float("nan")})
    return Result(summary=text)


MISBEHAVE = InlineCapability(
    name="misbehave",
    title="Misbehave",
    guidance="Does what a library might do.",
    request=MisbehaveRequest,
    result=Result,
    handler=_misbehave,
    effects=Effects(read_only=True),
    toolset="core",
    changes="Nothing.",
    example={"how": "print"},
)


def install() -> None:
    """Add both capabilities to the catalogue of this process, for good."""
    catalogue.CAPABILITIES = (*catalogue.CAPABILITIES, COUNT, MISBEHAVE)
    catalogue.BY_NAME.update({"count": COUNT, "misbehave": MISBEHAVE})


def settings(workspace: Path) -> Settings:
    """Return the settings of a lab whose workers can count."""
    worker = (sys.executable, str(HERE), "work")
    return Settings(workspace=workspace, cpu_slots=2, worker_command=worker, min_free_bytes=0, kill_grace_s=1.0)


def python_path() -> str:
    """Return what a new process needs on PYTHONPATH."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT), str(ROOT / "server"), str(ROOT / "tools"), *([given] if given else [])])


def main(role: str) -> int:
    """Serve or work; returns the exit status."""
    install()
    if role == "work":
        from interp_lab_server.worker import main as work

        return work()
    if role == "http":
        from interp_lab_server.http import serve_http

        return serve_http(settings(Path.cwd()), toolsets=TOOLSETS)
    from interp_lab_server.stdio import serve_stdio

    return serve_stdio(settings(Path.cwd()), toolsets=TOOLSETS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
