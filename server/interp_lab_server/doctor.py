"""Is this installation able to work? Each check says what it found and, if that is not enough, what would mend it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from interp_lab.errors import LabError
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.places.choose import problems_of
from interp_lab.settings import Settings
from interp_lab_tools.versions import package_versions, python_version, release

_PROBE = (
    "import torch, transformers, safetensors; "
    "print(torch.__version__, transformers.__version__, torch.cuda.is_available())"
)
_PROBE_TIMEOUT_S = 180
_FREE_BYTES_MIN = 2**30


class Finding(NamedTuple):
    """One check and its outcome."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return every check, in the order in which a user should mend them."""
    return list(_checks(settings))


def _checks(settings: Settings) -> Iterator[Finding]:
    yield Finding("version", ok=True, found=f"interp-lab {release()}, {python_version()}")
    yield Finding("python", sys.version_info >= (3, 11), python_version(), "Install Python 3.11 or newer.")
    yield _worker(settings)
    yield _workspace(settings)
    yield _disk(settings)
    yield from _launcher(settings)
    yield Finding("sqlite", ok=True, found=f"{sqlite3.sqlite_version}, rollback journal")
    packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    yield Finding("packages", ok=True, found=packages)


def _worker(settings: Settings) -> Finding:
    python = settings.worker()[0]
    remedy = "Install the worker's packages: pip install 'interp-lab-mcp[torch]'."
    try:
        probe = subprocess.run(  # noqa: S603 - the operator's own interpreter and a constant program
            [python, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("worker", ok=False, found=f"{python}: {error}", remedy=remedy)
    if probe.returncode != 0:
        lines = probe.stderr.strip().splitlines()
        return Finding("worker", ok=False, found=lines[-1] if lines else "it did not start", remedy=remedy)
    torch, transformers, cuda = probe.stdout.split()
    cuda = "yes" if cuda == "True" else "no"
    return Finding("worker", ok=True, found=f"torch {torch}, transformers {transformers}, CUDA {cuda}")


def _workspace(settings: Settings) -> Finding:
    try:
        JobEngine(settings).close()
    except LabError as error:
        return Finding("workspace", ok=False, found=error.what, remedy=error.remedy)
    return Finding("workspace", ok=True, found=f"{settings.workspace}: catalogue opens and is at the current schema")


def _launcher(settings: Settings) -> Iterator[Finding]:
    problems = problems_of(settings)
    for problem in problems:
        yield Finding("launcher", ok=False, found=f"{settings.launcher}: {problem.what}", remedy=problem.remedy)
    if not problems:
        slots = f"{settings.cpu_slots} CPU and {settings.gpu_slots} GPU jobs at once"
        yield Finding("launcher", ok=True, found=f"{settings.launcher}, {slots}")


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.workspace).free
    return Finding("disk", free >= _FREE_BYTES_MIN, f"{free / 2**30:.1f} GiB free", "Free at least 1 GiB.")
