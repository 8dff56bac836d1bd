# pyright: standard
"""What every run over paths does in shards of its prompts: a shard keeps what its prompts give, a lead takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.store.joining import link
from interp_lab.workflows.tracing.shares import SUFFIX, Share, ShareDone, Stage


def payloads(stage: Stage, n_shards: int) -> Sequence[JsonValue]:
    """Return the places of the shards of a stage."""
    return [[stage, place] for place in range(n_shards)]


def run_share(run: PartRun, payload: JsonValue, n_shards: int, work: Callable[[Share], object]) -> None:
    """Do one shard's share of the work, beside what earlier stages gave; what it keeps becomes its output.

    Raises:
        LabError: As for the work in one process.
    """
    assert isinstance(payload, list)
    stage = TypeAdapter(Stage).validate_python(payload[0])
    for path in (path for path in run.gathered.iterdir() if path.is_file()):
        if not (run.checkpoint_dir / path.name).exists():
            link(path, run.checkpoint_dir / path.name)
    with suppress(ShareDone):
        work(Share(int(str(payload[1])), n_shards, stage))
    for path in run.checkpoint_dir.glob(f"{stage}-*{SUFFIX}"):
        link(path, run.output / path.name)


def gather(run: PartRun, outputs: Sequence[Path]) -> None:
    """Put what all shards of a stage made where the run reads it."""
    for output in outputs:
        for path in output.glob(f"*{SUFFIX}"):
            link(path, run.checkpoint_dir / path.name)
