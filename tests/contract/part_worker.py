"""A worker without heavy libraries: counts in steps or in shards, and fails as it is told; for every launcher alike."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from interp_lab.artifacts.durable import write_durably
from interp_lab.errors import InvalidModel
from interp_lab.jobs.parts.attend import carry_out
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.jobs.parts.program import PART_FLAG, Work, output_files, run_part
from interp_lab.jobs.parts.sharding import Sharding
from interp_lab.jobs.places.ray import RayPlace
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.jobs.run import Run
from interp_lab.jobs.runner import run_claimed
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings

HELD_AT = 2
"""The step that lasts until the file that the request names is gone."""


def count(request: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Count in checkpointed steps and publish the tally; what shards have counted is not counted again."""
    gathered = sorted(run.checkpoint_dir.glob("counted-*.txt"))
    done = [int(path.read_text()) for path in gathered]
    saved = run.checkpoint_dir / "step.json"
    first = len(done) or (json.loads(saved.read_bytes())["step"] if saved.exists() else 0)
    for step in range(first, request["steps"]):
        run.progress(step, request["steps"], "counting", "steps")
        sys.stderr.write(f"step {step}\n")
        note(request, f"step {step} {os.getpid()}")
        while step == HELD_AT and "hold" in request and Path(request["hold"]).exists():
            time.sleep(0.05)  # hearing nothing: whether to stop is asked by the next step
        time.sleep(request.get("step_s", 0.0))
        write_durably(saved, json.dumps({"step": step + 1}).encode())
    with run.artifact("tally", "What was counted") as artifact:
        artifact.write_text("tally.txt", "".join(f"{i}\n" for i in done or range(request["steps"])))
    return {"steps": request["steps"], "first": first, "artifact": artifact.id}


def refuse(request: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Fail in words."""
    raise InvalidModel("The model is not one.", remedy="Take another.")


def plan(request: Mapping[str, Any], run: PartRun, stage: int) -> Sequence[JsonValue]:
    """One shard for each number."""
    return list(range(request["shards"])) if stage == 0 else []


def shard(request: Mapping[str, Any], run: PartRun, payload: JsonValue) -> None:
    """Write one number; not before the file that the request names is gone."""
    note(request, f"shard {payload} {os.getpid()}")
    run.progress(0, 1, "counting", "numbers")
    while "hold" in request and Path(request["hold"]).exists():
        run.check()
        time.sleep(0.05)
    run.check()
    (run.output / f"counted-{payload:05}.txt").write_text(str(payload))


def gather(request: Mapping[str, Any], run: PartRun, outputs: Sequence[Path]) -> None:
    """Take over the numbers."""
    for path in output_files(outputs, "counted-*.txt"):
        (run.checkpoint_dir / path.name).write_bytes(path.read_bytes())


def note(request: Mapping[str, Any], line: str) -> None:
    """Append a line to the book outside the workspace; a single small append is atomic."""
    fd = os.open(request["book"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def find_work(spec: JobSpec) -> Work:
    """What the capability's name says."""
    request = spec.request
    whole = {"count": count, "refuse": refuse}[spec.capability]
    sharding = Sharding(count=lambda asked: asked.get("shards", 1), plan=plan, shard=shard, gather=gather)
    return Work(request, lambda run: whole(request, run), sharding)


def execute(spec: JobSpec, run: Run) -> Mapping[str, Any]:
    """The same as the lab's own worker."""
    return carry_out(find_work(spec), run, Settings.from_env())


if __name__ == "__main__":
    RayPlace.lag_s = SlurmPlace.lag_s = 3.0  # one machine's own disk shows at once what was written
    if sys.argv[1:2] == [PART_FLAG]:
        sys.exit(run_part(sys.argv[1:], find_work))
    sys.exit(run_claimed(execute))
