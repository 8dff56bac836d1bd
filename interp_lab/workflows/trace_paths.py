# pyright: standard
"""Trace paths: what units at one address do to later ones, from a screen of all pairs to ranked candidates."""

from __future__ import annotations

import time
from collections.abc import Sequence

from interp_lab.contracts.path_report import PathCard
from interp_lab.contracts.trace_paths import PathsResult, TracePathsRequest
from interp_lab.engine.precision import decided_matmul
from interp_lab.evidence.path_grade import grade_found
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.tracing.choosing import amount_of, choose
from interp_lab.workflows.tracing.claims import row_hash
from interp_lab.workflows.tracing.context import Context, Suggest
from interp_lab.workflows.tracing.cost import keep_pace
from interp_lab.workflows.tracing.ends import Ends, latents_of, open_ends, with_controls
from interp_lab.workflows.tracing.measure import Measured, doses, figures, measure, rows_of, strongest
from interp_lab.workflows.tracing.opening import open_context, positives, prepared
from interp_lab.workflows.tracing.records import record_lines
from interp_lab.workflows.tracing.report import assemble, publish, reason_codes, short_form
from interp_lab.workflows.tracing.shares import Share, ShareDone


def trace_paths(
    request: TracePathsRequest, run: Run, *, settings: Settings, suggest: Suggest, share: Share | None = None
) -> PathsResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    With a `share`, only its prompts are run, and what they give is kept in the checkpoint.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts, before or while it is edited.
        ShareDone: the prompts of the share have been run.
    """
    with decided_matmul(run.checkpoint_dir):
        return _traced(request, run, settings, suggest, share=share)


def _traced(
    request: TracePathsRequest, run: Run, settings: Settings, suggest: Suggest, *, share: Share | None
) -> PathsResult:
    clock = time.perf_counter(), time.process_time()
    context = open_context(request, run, settings, suggest)
    ends = prepared(context, _ends(request, context, settings))
    inputs, plan = context.inputs, context.design
    explore = positives(plan, plan.split.rows("explore"))
    choice = choose(context, ends, request, explore, share=share)
    if share is not None and share.stage != "edits":
        raise ShareDone  # what it was to choose by did not need this stage
    chosen = choice.chosen
    companions = with_controls(
        ends,
        chosen,
        inputs.loaded,
        [inputs.tokens[i] for i in plan.split.rows("explore")],
        n=request.n_controls,
        seed=request.seed,
    )
    rows = rows_of(ends, chosen, request.scales, companions)
    measured = measure(context, ends, rows, explore, what="edits of explore prompts", share=share)
    pairs, n_searched = strongest(measured, chosen, request.scales[0], request.top_k), choice.facts.n_pairs
    cards = _cards(context, measured, ends, pairs=pairs, n_searched=n_searched)
    texts = inputs.prompts.texts()
    report = assemble(
        context,
        cards,
        kind="trace",
        screen=choice.told(measured, request.scales),
        n_searched=n_searched,
        n_runs=choice.n_runs + measured.n_runs,
        discovery_rows=[row_hash(texts[row]) for row in plan.split.rows("explore")],
    )
    artifact = publish(report, record_lines(report, measured, inputs.prompts, pairs=pairs, part="explore"), run)
    if request.shards == 1 and run.attempt < 2:  # of shards, and of a second attempt, only a part was done here
        keep_pace(request, amount_of(request, context, ends), inputs.loaded.facts, settings=settings, began=clock)
    return short_form(report, (suggest.after(report, artifact) + report.agent_next_actions)[:3])


def _ends(request: TracePathsRequest, context: Context, settings: Settings) -> Ends:
    sources = request.sources
    if request.source_dictionary is not None:
        sources = latents_of(request.source_dictionary, settings)
    targets = [*request.targets]
    for dictionary in request.target_dictionaries:
        targets += latents_of(dictionary, settings)
    return open_ends(sources, targets, request, loaded=context.inputs.loaded, settings=settings)


def _cards(
    context: Context, measured: Measured, ends: Ends, *, pairs: Sequence[tuple[int, int]], n_searched: int
) -> list[PathCard]:
    request = context.request
    found = figures(
        measured,
        pairs,
        request.scales[0],
        context.design.sample.groups[list(measured.prompts)],
        part="explore",
        n_searched=n_searched,
        least_share=request.least_share,
        has_behaviour=request.behaviour,
    )
    cards: list[PathCard] = []
    for (source, column), one in zip(pairs, found, strict=True):
        grading = grade_found(one)
        cards.append(
            PathCard(
                source=ends.end(source),
                target=ends.targets[column],
                explore=one,
                confirm=None,
                doses=doses(measured, source, column),
                off_positives=None,
                off_bound=None,
                next_action=None,
                status=grading.status,
                grade=grading.grade,
                reasons=reason_codes(grading.reasons),
            )
        )
    return cards
