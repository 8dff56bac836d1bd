# pyright: standard
"""An intervention in shards of its prompts: explore prompts first, then confirm prompts at what explore has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from interp_lab.artifacts.durable import write_durably
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.engine.precision import decided_matmul
from interp_lab.errors import JobFilesCorrupt
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.settings import Settings
from interp_lab.store.joining import link
from interp_lab.workflows.intervene import intervene
from interp_lab.workflows.intervening.measure import Share, ShareDone

_HALVES: tuple[Literal["explore", "confirm"], ...] = ("explore", "confirm")
_OUTCOMES = "*.jsonl"


def plan(request: InterveneRequest, run: PartRun, stage: int) -> Sequence[JsonValue]:
    """Return the places of the shards, once for each half of the prompts."""
    with decided_matmul(run.checkpoint_dir):
        return list(range(request.shards)) if stage < len(_HALVES) else ()


def run_shard(request: InterveneRequest, run: PartRun, payload: JsonValue, *, settings: Settings) -> None:
    """Run the prompts of one shard in the half of its stage; outcomes become its output.

    Raises:
        LabError: As for the intervention in one process.
    """
    share = Share(int(str(payload)), request.shards, _HALVES[run.part.name.stage])
    for path in (path for path in run.gathered.iterdir() if path.is_file()):
        if not (run.checkpoint_dir / path.name).exists():
            write_durably(run.checkpoint_dir / path.name, path.read_bytes())
    with suppress(ShareDone):
        intervene(request, run, settings=settings, suggest=lambda _: (), share=share)
    known = {path.name for path in run.gathered.glob(_OUTCOMES)}
    for path in run.checkpoint_dir.glob(_OUTCOMES):
        if path.name not in known:
            link(path, run.output / path.name)


def gather(run: PartRun, outputs: Sequence[Path]) -> None:
    """Put the outcomes of all shards together, sweep by sweep.

    Raises:
        JobFilesCorrupt: Shards answered different questions.
    """
    for name in sorted({path.name for output in outputs for path in output.glob(_OUTCOMES)}):
        parts = [(output / name).read_bytes().split(b"\n", 1) for output in outputs if (output / name).exists()]
        if len({key for key, _ in parts}) != 1:
            raise JobFilesCorrupt(f"The shards of {name} answer different questions.")
        write_durably(run.checkpoint_dir / name, parts[0][0] + b"\n" + b"".join(rows for _, rows in parts))
