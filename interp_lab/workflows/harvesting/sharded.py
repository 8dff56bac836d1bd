# pyright: standard
"""A harvest in shards: ranges of store shards, each read by its own process, the files of all joined to one store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue, NonNegativeInt, PositiveInt

from interp_lab.contracts.base import Contract
from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.store import StoreHeader
from interp_lab.jobs.parts.partrun import PartRun
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.joining import hand_over, join_shards
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.harvesting.cost import refuse_unfit_disk, store_bytes
from interp_lab.workflows.harvesting.decisions import Decisions, as_decided, decide
from interp_lab.workflows.harvesting.inputs import Inputs, open_inputs
from interp_lab.workflows.harvesting.publish import Tally
from interp_lab.workflows.harvesting.reading import Reading
from interp_lab.workflows.harvesting.record import shard_rows, store_header


class Range(Contract):
    """Rows of the store that one shard of the work reads."""

    first: NonNegativeInt
    stop: PositiveInt | None
    """None reads to the end: how many rows there are is known exactly only then."""
    about: NonNegativeInt
    """Rows, by the count of tokens."""
    shard_rows: PositiveInt
    decided: Decisions
    """What the lead's probes found: every shard computes in the same way."""


def plan(request: HarvestRequest, run: PartRun, stage: int, *, settings: Settings) -> Sequence[JsonValue]:
    """Return a range for each shard, none empty by the count of tokens; none at all in the second stage.

    Raises:
        LabError: As for a harvest in one process, before anything is read.
    """
    if stage > 0:
        return ()
    inputs = open_inputs(request, settings, ())
    decided = decide(inputs, run.checkpoint_dir)
    n_tokens = inputs.count_tokens()
    refuse_unfit(inputs, decided, n_tokens, run)
    rows = shard_rows(store_header(inputs, decided), n_tokens)
    n_files = max(1, -(-n_tokens // rows))
    n_shards = min(request.shards, n_files)
    edges = [index * n_files // n_shards * rows for index in range(n_shards + 1)]
    ranges = [
        Range(
            first=edges[i],
            stop=edges[i + 1] if i + 1 < n_shards else None,
            about=max(0, min(edges[i + 1], n_tokens) - edges[i]),
            shard_rows=rows,
            decided=decided,
        )
        for i in range(n_shards)
    ]
    return [one.model_dump(mode="json") for one in ranges]


def read_shard(request: HarvestRequest, run: PartRun, payload: JsonValue, *, settings: Settings) -> None:
    """Read one range into files of the store; resumable like the whole.

    Raises:
        LabError: As for a harvest in one process.
    """
    part = Range.model_validate(payload)
    inputs = open_inputs(request, settings, ())
    folder = run.checkpoint_dir / "store"
    header = store_header(inputs, part.decided)
    with StoreWriter(folder, header, shard_rows=part.shard_rows) as writer, as_decided(inputs, part.decided):
        reading = Reading(
            inputs, part.decided, writer, run, Tally(), total=part.about, first=part.first, stop=part.stop
        )
        reading.read_all()
        writer.seal_rows()
    hand_over(folder, run.output)


def gather(request: HarvestRequest, run: PartRun, outputs: Sequence[Path], *, settings: Settings) -> None:
    """Put the files of all shards into the job's own unfinished store."""
    inputs = open_inputs(request, settings, ())
    decided = decide(inputs, run.checkpoint_dir)
    header: StoreHeader = store_header(inputs, decided)
    rows = shard_rows(header, inputs.count_tokens())
    join_shards(run.checkpoint_dir / "store", header, shard_rows=rows, parts=outputs)


def refuse_unfit(inputs: Inputs, decided: Decisions, n_tokens: int, run: Run) -> None:
    """Return if a store of so many more tokens fits on the disk; see `refuse_unfit_disk`."""
    scalars = sum(decided.widths.values())
    needed = store_bytes(n_tokens, scalars, inputs.request.dtype, len(inputs.metrics))
    refuse_unfit_disk(needed, n_tokens, len(inputs.addresses), folder=run.checkpoint_dir, reserve=0)
