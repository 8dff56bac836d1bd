# pyright: standard
"""Patch activations: maps of where a model carries what tells two prompts apart, and the strongest places tested."""

from __future__ import annotations

import time
from collections.abc import Sequence

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.patch_activations import PatchRequest, PatchResult
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.intervening.behaviour import choose
from interp_lab.workflows.intervening.cost import idle_seconds, record_pace
from interp_lab.workflows.patching.cost import KIND, work_of
from interp_lab.workflows.patching.line_up import line_up
from interp_lab.workflows.patching.measure import Bench, maps, strongest, test
from interp_lab.workflows.patching.pairs import Pair, pairs_of
from interp_lab.workflows.patching.report import Found, Suggest, assemble, publish, short_form


def patch_activations(request: PatchRequest, run: Run, *, settings: Settings, suggest: Suggest) -> PatchResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the request, the model or the pairs, before or while they are patched.
    """
    clock = time.perf_counter(), time.process_time()
    run.progress(0, None, "opening the model and the prompts")
    inputs = open_inputs(_as_inspected(request), settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance()
    plan = design(inputs)
    pairs = pairs_of(inputs, plan, most=request.max_pairs, columns=request.columns)
    run.progress(0, None, "choosing target tokens")
    clean, corrupt = ([getattr(pair, side) for pair in pairs.explore] for side in ("clean", "corrupt"))
    chosen = choose(inputs.loaded, request, clean, corrupt, check=run.check)
    behaviour = chosen.behaviour(cross_entropy=False, distribution=False)
    bench = Bench(inputs.loaded, behaviour, pairs, request.components, request.ways, run.check, request.seed)
    with decided_matmul(run.checkpoint_dir):
        mapped = maps(
            bench,
            _groups(plan, pairs.explore),
            lambda done: run.progress(done, len(pairs.explore), "patching explore pairs", "pairs"),
        )
        tested, n_tests = test(
            bench,
            strongest(bench, mapped, request.top_k),
            _groups(plan, pairs.confirm),
            n_controls=request.n_controls,
            progress=lambda done: run.progress(done, len(pairs.confirm), "patching held-out pairs", "pairs"),
        )
    found = Found(inputs, plan, pairs, chosen, mapped, tuple(tested), mapped.n_runs + n_tests)
    report = assemble(request, found, run, suggest)
    publish(report, run)
    planned = work_of(request, inputs.loaded.facts, line_up(request, inputs.prompts, [t.ids for t in inputs.tokens]))
    record_pace(planned, idle_seconds(clock), request.model, settings, kind=KIND)
    return short_form(report)


def _groups(plan: Design, pairs: Sequence[Pair]) -> list[int]:
    return [int(plan.sample.groups[pair.number]) for pair in pairs]


def _as_inspected(request: PatchRequest) -> InspectRequest:
    """The same model, prompts, threshold and seed, so that both split the prompts alike."""
    return InspectRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        threshold=request.threshold,
        seed=request.seed,
    )
