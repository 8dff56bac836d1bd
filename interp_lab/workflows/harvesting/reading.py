# pyright: standard
"""Stretch after stretch of the corpus into a writer: all rows of the store, or those of one shard of the work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from interp_lab.engine.generation import Sampling
from interp_lab.engine.sweep import PassPlan
from interp_lab.jobs.run import Run
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.harvesting.decisions import Decisions
from interp_lab.workflows.harvesting.inputs import Inputs
from interp_lab.workflows.harvesting.passes import collect
from interp_lab.workflows.harvesting.publish import Tally
from interp_lab.workflows.harvesting.record import read_written, row_labels
from interp_lab.workflows.harvesting.rows import row_columns
from interp_lab.workflows.harvesting.stretches import Stretch, Writer, stretches

_BYTES = 4


@dataclass(slots=True)
class Reading:
    """What is read into one writer.

    A stretch is always read whole: what stands beside a text in a pass must not depend on who reads it.
    """

    inputs: Inputs
    decided: Decisions
    writer: StoreWriter
    run: Run
    tally: Tally
    total: int
    first: int = 0
    """Row of the store that is the writer's first."""
    stop: int | None = None
    """Row of the store before which to stop; None reads to the end."""

    def read_all(self) -> None:
        """Read what the writer does not have yet."""
        scalars = sum(self.decided.widths.values())
        for stretch in stretches(self.inputs, scalars * _BYTES, self._continuing()):
            if self.stop is not None and stretch.start >= self.stop:
                return
            self.tally.cut |= {stretch.documents[p.document].number for p in stretch.pieces if p.first > 0}
            if stretch.start + stretch.n_rows > self._next:
                self._read(stretch)

    def written(self) -> list[str] | None:
        """Return the continuations, if there are any."""
        if self.inputs.request.generate is None:
            return None
        return read_written(self.inputs, sorted(self._folder.glob("written-*.json")))

    @property
    def _next(self) -> int:
        """The first row of the store that is still to be written."""
        return self.first + self.writer.finished_rows

    def _read(self, stretch: Stretch) -> None:
        plan = PassPlan(self.decided.token_budget, self.decided.row)
        started = time.perf_counter()

        def report(n_read: int) -> None:
            done = max(0, stretch.start + min(n_read, stretch.n_rows) - self.first)
            self.run.progress(done, max(self.total, done), "reading activations", "tokens")

        collected = collect(self.inputs, stretch, plan, check=self.run.check, report=report)
        self.tally.n_read += collected.n_read
        self.tally.halved += len(collected.halved)
        self.tally.seconds += time.perf_counter() - started
        columns = row_columns(stretch, row_labels(self.inputs), collected.metrics)
        begin = max(0, self._next - stretch.start)
        end = stretch.n_rows if self.stop is None else min(stretch.n_rows, self.stop - stretch.start)
        for rows, values in collected.blocks(begin, end):
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
