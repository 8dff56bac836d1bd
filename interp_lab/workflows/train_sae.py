# pyright: standard
"""train_sae: from activations to dictionaries that are measured on held-out prompts and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.train_sae import (
    DICTIONARY_KIND,
    TrainedDictionary,
    TrainingReport,
    TrainSaeRequest,
    TrainSaeResult,
)
from interp_lab.dictionaries.formats.saelens import CONFIG, WEIGHTS, save_files
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.run import Run
from interp_lab.models.load import pick_device
from interp_lab.reports.numbers import counted
from interp_lab.settings import Settings
from interp_lab.workflows.training.columns import open_stored
from interp_lab.workflows.training.cost import refuse_unfit, refuse_unfit_disk, remember_rate
from interp_lab.workflows.training.feed import Feed, StoreFeed
from interp_lab.workflows.training.live import LivePage
from interp_lab.workflows.training.loop import Loop, make_trainers
from interp_lab.workflows.training.plan import Planned, planned
from interp_lab.workflows.training.ranks import train_in_ranks
from interp_lab.workflows.training.report import caveats, dead_unknown, flags, headline, publish, request_record
from interp_lab.workflows.training.stream import StreamFeed

Suggest = Callable[[Sequence[TrainedDictionary]], tuple[NextAction, ...]]


def train_sae(request: TrainSaeRequest, run: Run, *, settings: Settings, suggest: Suggest) -> TrainSaeResult:
    """Return one row per dictionary; each is published as an artifact, and a report of them all.

    Raises:
        LabError: whatever is wrong with the request, the activations or the machine, before or while it trains.
    """
    run.progress(0, None, "opening the activations")
    with decided_matmul(run.checkpoint_dir), LivePage(request, run) as live:
        if request.ranks > 1:
            train_in_ranks(request, run, settings)
        feed = open_feed(request, settings, run.checkpoint_dir)
        dictionaries = planned(request, feed.widths, origin=feed.origin, n_train=feed.n_train)
        refuse_unfit(dictionaries)
        refuse_unfit_disk(dictionaries, run.checkpoint_dir, written=run.checkpoints.written())
        device = pick_device("auto")
        run.seed, run.device = request.seed, str(device)
        run.inputs |= feed.inputs
        loop = Loop(request, dictionaries, make_trainers(dictionaries, device), feed, run)
        live.name(feed.origin.models, [each.place for each in dictionaries])
        live.take(loop.state.lines)
        loop.train()  # after ranks there is nothing left to do
        loop.save()
        if request.ranks == 1:
            _remember(loop, settings, run, device)
        return publish_all(loop, run, suggest)


def publish_all(loop: Loop, run: Run, suggest: Suggest) -> TrainSaeResult:
    """Return one row per dictionary after publishing each of them and the report of a finished loop."""
    rows = tuple(_publish(loop, each, run) for each in loop.dictionaries)
    return _answer(loop, rows, run, suggest(rows))


def open_feed(request: TrainSaeRequest, settings: Settings, folder: Path | None = None) -> Feed:
    """Return the activations that the request names; see `StoreFeed` and `StreamFeed`, whose `folder` it is."""
    if request.source.kind == "stream":
        return StreamFeed(request, request.source, settings, folder=folder)
    return StoreFeed(open_stored(request.source, settings), request)


def _publish(loop: Loop, planned: Planned, run: Run) -> TrainedDictionary:
    """Measure a dictionary, write it as an artifact and return its row."""
    state, figures = loop.state.dictionaries[planned.name], loop.figures(planned)
    made = loop.trainers[planned.name].dictionary()
    row = TrainedDictionary(
        name=planned.name,
        artifact=None,
        place=planned.place,
        architecture=planned.config.architecture,
        n_latents=planned.config.n_latents,
        sparsity=planned.sparsity,
        seed=planned.training.seed,
        fvu=round(figures.fvu.ratio, 5),
        fvu_interval=(round(figures.fvu.low, 5), round(figures.fvu.high, 5)),
        l0=round(figures.l0, 3),
        dead_fraction=round(state.dead_fraction, 5) if state.tokens > planned.training.dead_window_tokens else None,
        unfired_fraction=round(figures.unfired_fraction, 5),
        cosine=round(figures.cosine, 5),
        n_held_out=figures.n_tokens,
        n_held_out_groups=figures.fvu.n_groups,
        tokens=state.tokens,
        epochs=round(state.tokens / loop.feed.n_train, 3),
        seconds=round(state.seconds, 2),
        tokens_per_s=round(state.tokens / max(state.seconds, 1e-9), 1),
        flags=(),
    )
    row = row.model_copy(update={"flags": flags(row, planned, state)})
    source = f"job {run.job_id}" if run.job_id else None
    facts = made.config.model_copy(update={"source": source, "trained_tokens": state.tokens})
    with run.artifact(DICTIONARY_KIND, planned.name) as files:
        save_files(made, facts, files.path(CONFIG), files.path(WEIGHTS))
        files.write_json("figures.json", row.model_dump(mode="json"))
        files.metrics |= {"fvu": row.fvu, "l0": row.l0}
        files.metrics |= {} if row.dead_fraction is None else {"dead_fraction": row.dead_fraction}
    return row.model_copy(update={"artifact": files.id})


def _remember(loop: Loop, settings: Settings, run: Run, device: torch.device) -> None:
    states = loop.state.dictionaries.values()
    measured = (max(each.tokens for each in states), sum(each.seconds for each in states))
    root = WorkspacePaths.of(settings).root
    remember_rate(loop.dictionaries, root, measured, device=device.type, job=run.job_id)


def _answer(
    loop: Loop, rows: tuple[TrainedDictionary, ...], run: Run, actions: tuple[NextAction, ...]
) -> TrainSaeResult:
    report = TrainingReport(
        headline=headline(rows), caveats=caveats(rows), request=request_record(loop.request), dictionaries=rows
    )
    publish(report, loop.state.lines, run)
    n_flagged = sum(bool(row.flags) for row in rows)
    return TrainSaeResult(
        summary=f"{report.headline}\nWith flags: {n_flagged} of {counted(len(rows), 'dictionary', 'dictionaries')}; "
        f"{dead_unknown(report)}curves are in report.html.",
        warnings=report.caveats,
        agent_next_actions=actions,
        n_train_tokens=loop.feed.n_train,
        n_train_groups=loop.feed.n_train_groups,
        dictionaries=rows,
    )
