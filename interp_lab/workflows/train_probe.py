"""train_probe: linear probes of one target on columns of an activation store, with controls and held-out scores."""

from __future__ import annotations

from collections.abc import Callable

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.probe import ProbeReport, TrainProbeRequest, TrainProbeResult
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.store.locate import open_named_store
from interp_lab.workflows.probing.design import Design, design
from interp_lab.workflows.probing.examples import open_examples
from interp_lab.workflows.probing.measure import measure_best, sweep
from interp_lab.workflows.probing.report import assemble, publish, short_form
from interp_lab.workflows.querying.view import StoreView
from interp_lab.workflows.training.columns import store_hash

Suggest = Callable[[ProbeReport], tuple[NextAction, ...]]


def train_probe(request: TrainProbeRequest, run: Run, *, settings: Settings, suggest: Suggest) -> TrainProbeResult:
    """Return the sweep in short; the report and the best column's direction are published as artifacts of the run.

    Raises:
        LabError: whatever is wrong with the store, the target or the groups.
    """
    run.progress(0, None, "opening the store")
    view, keys, plan = plan_probes(request, settings)
    run.seed = request.seed
    run.inputs |= {"store": store_hash(view.store)}

    def step(number: int, key: str) -> None:
        run.progress(number, len(keys) + 1, f"probing {key}", "columns")

    found = sweep(view, plan, keys, seed=request.seed, step=step)
    step(len(keys), f"{found.best.key} beside its controls")
    measured = measure_best(view, plan, found, seed=request.seed)
    report = assemble(request, view, plan, found=found, measured=measured, run=run)
    publish(report, found, measured, view=view, run=run)
    return short_form(report, suggest(report))


def plan_probes(request: TrainProbeRequest, settings: Settings) -> tuple[StoreView, tuple[str, ...], Design]:
    """Return the open store, the columns to probe and the split of the examples; no activation is read.

    Raises:
        LabError: as `train_probe`.
    """
    view = StoreView(open_named_store(request.store, settings), request.store)
    keys = tuple(dict.fromkeys(request.addresses)) or view.store.keys
    for key in keys:
        view.column(key)
    return view, keys, design(view, open_examples(view, request, keys), seed=request.seed)
