"""Fills a disk of its own under a workspace and reports what became of the jobs; runs in its own mount namespace.

Without the right to mount, a limit on file size stands in for the disk's end.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import free_bytes
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.job import Job
from tests.faults.rig import finish, integrity, settings, settle, spec

DISK_MIB = 16


def fill_disk(workspace: Path) -> Callable[[], None]:
    """Leave less space than the job needs; return how to make room."""
    plug = workspace / "plug"
    plug.write_bytes(bytes(max(0, free_bytes(workspace) - 3 * 2**20)))
    return plug.unlink


def limit_files() -> Callable[[], None]:
    """Let no file grow over 3 MiB; return how to lift that."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**20, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def shown(job: Job) -> dict[str, Any]:
    """Return what the test looks at."""
    return {"state": job.state, "error": job.error.model_dump() if job.error else None}


def main(workspace: Path, where: str, disk: str) -> None:
    if disk == "tmpfs":
        size = f"size={DISK_MIB}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(workspace)], check=True)
    engine = JobEngine(settings(workspace, cpu_slots=1, ballast_bytes=2**18))
    old = engine.submit(spec("count", steps=3))
    assert finish(engine, old.id).state == "succeeded"
    request = spec("fill", where=where, mib=4, disk=disk)
    make_room = fill_disk(workspace) if disk == "tmpfs" else limit_files()
    first = finish(engine, engine.submit(request).id)
    (artifact,) = engine.artifacts_of(old.id)
    readable = engine.artifacts.verify(artifact.id).ok
    settle(workspace)
    left = [entry.name for entry in engine.paths.tmp.iterdir()]
    make_room()
    (workspace / "brim").unlink(missing_ok=True)
    second = finish(engine, engine.submit(request).id)
    report = {
        "first": shown(first),
        "second": shown(second),
        "old_artifact_readable": readable,
        "left_in_tmp": left,
        "resumed_at": (engine.result(second.id) or {}).get("resumed_at"),
        "integrity": integrity(engine),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
