# pyright: standard
"""Harvest: the activations of a corpus into a store, resumable by shard and the same bytes every time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from interp_lab.contracts.harvest import HarvestRequest, HarvestResult
from interp_lab.engine.generation import Sampling
from interp_lab.engine.sweep import PassPlan
from interp_lab.engine.token_metrics import TokenMetric
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.harvesting.cost import refuse_unfit_disk, store_bytes
from interp_lab.workflows.harvesting.decisions import Decisions, as_decided, decide
from interp_lab.workflows.harvesting.inputs import Inputs, open_inputs
from interp_lab.workflows.harvesting.passes import collect
from interp_lab.workflows.harvesting.publish import Tally, publish, remember_rate, result
from interp_lab.workflows.harvesting.record import prompt_columns, read_written, row_labels, shard_rows, store_header
from interp_lab.workflows.harvesting.rows import row_columns
from interp_lab.workflows.harvesting.stretches import Stretch, Writer, stretches
from interp_lab.workflows.inspection.inputs import weights_hash

_BYTES = 4


def harvest(
    request: HarvestRequest, run: Run, *, settings: Settings, metrics: Sequence[TokenMetric] = ()
) -> HarvestResult:
    """Return what was read; the store is published as an artifact of the run.

    `metrics` are measured besides those that the request names.

    Raises:
        LabError: whatever is wrong with the request, the model or the corpus, before or while it is read.
    """
    run.progress(0, None, "opening the model and the corpus")
    inputs = open_inputs(request, settings, metrics)
    loaded = inputs.loaded
    run.seed, run.device = request.seed, str(loaded.device)
    run.inputs |= {
        "model": f"{loaded.source.id}@{loaded.source.commit or weights_hash(loaded)}",
        "dataset": f"{inputs.corpus.name} sha256:{inputs.corpus.sha256}",
    }
    decided = decide(inputs, run.checkpoint_dir)
    n_tokens = inputs.count_tokens()
    header = store_header(inputs, decided)
    folder, tally = run.checkpoint_dir / "store", Tally()
    with StoreWriter(folder, header, shard_rows=shard_rows(header, n_tokens)) as writer, as_decided(inputs, decided):
        work = _Work(inputs, decided, writer, run, tally, total=_total(inputs, n_tokens))
        if not writer.finished:
            _refuse_unfit(inputs, decided, n_tokens - writer.finished_rows, run)
            work.read_all()
        manifest = writer.finish(prompt_columns(inputs, work.written()))
    publish(folder, manifest, run)
    remember_rate(inputs, tally, run, settings)
    return result(inputs, decided, manifest, tally)


def _refuse_unfit(inputs: Inputs, decided: Decisions, n_tokens: int, run: Run) -> None:
    scalars = sum(decided.widths.values())
    needed = store_bytes(n_tokens, scalars, inputs.request.dtype, len(inputs.metrics))
    refuse_unfit_disk(needed, n_tokens, len(inputs.addresses), folder=run.checkpoint_dir, reserve=0)


def _total(inputs: Inputs, n_tokens: int) -> int:
    generate = inputs.request.generate
    return n_tokens + (generate.max_new_tokens * len(inputs.documents) if generate else 0)


@dataclass(slots=True)
class _Work:
    """Stretch after stretch into the writer."""

    inputs: Inputs
    decided: Decisions
    writer: StoreWriter
    run: Run
    tally: Tally
    total: int

    def read_all(self) -> None:
        """Read what the store does not have yet."""
        scalars = sum(self.decided.widths.values())
        for stretch in stretches(self.inputs, scalars * _BYTES, self._continuing()):
            self.tally.cut |= {stretch.documents[p.document].number for p in stretch.pieces if p.first > 0}
            if stretch.start + stretch.n_rows > self.writer.finished_rows:
                self._read(stretch)

    def written(self) -> list[str] | None:
        """Return the continuations, if there are any."""
        if self.inputs.request.generate is None:
            return None
        return read_written(self.inputs, sorted(self._folder.glob("written-*.json")))

    def _read(self, stretch: Stretch) -> None:
        plan = PassPlan(self.decided.token_budget, self.decided.row)
        started = time.perf_counter()

        def report(n_read: int) -> None:
            done = stretch.start + min(n_read, stretch.n_rows)
            self.run.progress(done, max(self.total, done), "reading activations", "tokens")

        collected = collect(self.inputs, stretch, plan, check=self.run.check, report=report)
        self.tally.n_read += collected.n_read
        self.tally.halved += len(collected.halved)
        self.tally.seconds += time.perf_counter() - started
        columns = row_columns(stretch, row_labels(self.inputs), collected.metrics)
        for rows, values in collected.blocks(max(0, self.writer.finished_rows - stretch.start)):
            self.writer.add(RowBlock({name: column[rows] for name, column in columns.items()}, values))
            self.run.check()

    def _continuing(self) -> Writer | None:
        generate = self.inputs.request.generate
        if generate is None:
            return None
        seed = (self.inputs.request.seed,)
        sampling = Sampling(generate.max_new_tokens, generate.temperature, seed, self.decided.token_budget)
        return Writer(sampling, self._folder, self.run)

    @property
    def _folder(self) -> Path:
        return self.run.checkpoint_dir
