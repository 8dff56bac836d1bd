# pyright: standard
"""Harvest: the activations of a corpus into a store, resumable by shard and the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence

from interp_lab.contracts.harvest import HarvestRequest, HarvestResult
from interp_lab.engine.token_metrics import TokenMetric
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.harvesting.decisions import as_decided, decide
from interp_lab.workflows.harvesting.inputs import Inputs, open_inputs
from interp_lab.workflows.harvesting.publish import Tally, publish, remember_rate, result
from interp_lab.workflows.harvesting.reading import Reading
from interp_lab.workflows.harvesting.record import prompt_parts, shard_rows, store_header
from interp_lab.workflows.harvesting.sharded import refuse_unfit


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
        "model": f"{loaded.source.id}@{loaded.version}",
        "dataset": f"{inputs.corpus.name} sha256:{inputs.corpus.sha256}",
    }
    decided = decide(inputs, run.checkpoint_dir)
    n_tokens = inputs.count_tokens()
    header = store_header(inputs, decided)
    folder, tally = run.checkpoint_dir / "store", Tally()
    with StoreWriter(folder, header, shard_rows=shard_rows(header, n_tokens)) as writer, as_decided(inputs, decided):
        work = Reading(inputs, decided, writer, run, tally, total=_total(inputs, n_tokens))
        if not writer.finished:
            refuse_unfit(inputs, decided, n_tokens - writer.finished_rows, run)
            work.read_all()
        manifest = writer.finish_in_parts(prompt_parts(inputs, work.written()))
    publish(folder, manifest, run)
    remember_rate(inputs, tally, run, settings)
    return result(inputs, decided, manifest, tally)


def _total(inputs: Inputs, n_tokens: int) -> int:
    generate = inputs.request.generate
    return n_tokens + (generate.max_new_tokens * len(inputs.documents) if generate else 0)
