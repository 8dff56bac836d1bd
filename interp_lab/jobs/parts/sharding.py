"""What a capability says about being done in shards, and the part of a lead in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.jobs.parts.record import PartFolder, PartName


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How work is cut so that the parts together give the same bytes as the whole.

    Shards compute what the one process would have kept in its checkpoint; gathered there, they leave the ordinary
    handler nothing to compute. That is why the result cannot differ.
    """

    count: Callable[[Any], int]
    """(request) → how many shards are wanted; 1 means none."""
    plan: Callable[[Any, PartRun, int], Sequence[JsonValue]]
    """(request, run, stage) → what each shard of a stage is to do; none when the handler can end the work."""
    shard: Callable[[Any, PartRun, JsonValue], None]
    """(request, run, payload) → writes files into `run.output`."""
    gather: Callable[[Any, PartRun, Sequence[Path]], None]
    """(request, run, outputs) → puts what the shards of a stage made into `run.checkpoint_dir`; repeatable."""


def shards_of(parts: Path, stage: int, n_shards: int) -> tuple[PartFolder, ...]:
    """Return the folders of the shards of a stage, in order."""
    return tuple(PartFolder(parts, PartName(stage, index)) for index in range(n_shards))


def damaged(shards: Sequence[PartFolder]) -> tuple[str, ...]:
    """Return the names of the shards whose files are not what they were when they were made: every hash is checked."""
    return tuple(str(shard.name) for shard in shards if not shard.is_whole())
