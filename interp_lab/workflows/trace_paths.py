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
from interp_lab.workflows.intervening.work import blocks_after
from interp_lab.workflows.tracing.claims import row_hash
from interp_lab.workflows.tracing.context import Context, Suggest
from interp_lab.workflows.tracing.cost import Amount, keep_pace
from interp_lab.workflows.tracing.ends import Ends, latents_of, open_ends, with_controls
from interp_lab.workflows.tracing.measure import Measured, doses, figures, measure, rows_of, strongest
from interp_lab.workflows.tracing.opening import open_context, positives, prepared
from interp_lab.workflows.tracing.records import record_lines
from interp_lab.workflows.tracing.report import assemble, publish, reason_codes, short_form
from interp_lab.workflows.tracing.screening import Screened, screen, screen_facts
from interp_lab.workflows.tracing.shares import Share


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
    screened = screen(context, ends, explore, chooses=len(ends.sources) > request.n_measured, share=share)
    chosen = _chosen(screened, request.n_measured)
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
    pairs, n_searched = strongest(measured, chosen, request.scales[0], request.top_k), screened.slopes.size
    cards = _cards(context, measured, ends, pairs=pairs, n_searched=n_searched)
    texts = inputs.prompts.texts()
    report = assemble(
        context,
        cards,
        kind="trace",
        screen=screen_facts(screened, measured, request.scales),
        n_searched=n_searched,
        n_runs=measured.n_runs,
        discovery_rows=[row_hash(texts[row]) for row in plan.split.rows("explore")],
    )
    artifact = publish(report, record_lines(report, measured, inputs.prompts, pairs=pairs, part="explore"), run)
    if request.shards == 1 and run.attempt < 2:  # of shards, and of a second attempt, only a part was done here
        keep_pace(request, _amount(request, context, ends), inputs.loaded.facts, settings=settings, began=clock)
    return short_form(report, (suggest.after(report, artifact) + report.agent_next_actions)[:3])


def _amount(request: TracePathsRequest, context: Context, ends: Ends) -> Amount:
    """As the plan counted it, so that its next one is corrected by what this took."""
    lengths = [len(tokens) for tokens in context.inputs.tokens]
    return Amount(
        n_sources=len(ends.sources),
        n_targets=len(ends.targets),
        n_measured=min(len(ends.sources), request.n_measured),
        n_prompts=(sum(context.inputs.prompts.positive(request.threshold)) + 1) // 2,
        n_negatives=0,
        tokens=sum(lengths) / len(lengths),
        screens=True,
        n_blocks=blocks_after(ends.route.source, context.inputs.loaded.facts.n_layers),
    )


def _ends(request: TracePathsRequest, context: Context, settings: Settings) -> Ends:
    sources = request.sources
    if request.source_dictionary is not None:
        sources = latents_of(request.source_dictionary, settings)
    targets = [*request.targets]
    for dictionary in request.target_dictionaries:
        targets += latents_of(dictionary, settings)
    return open_ends(sources, targets, request, loaded=context.inputs.loaded, settings=settings)


def _chosen(screened: Screened, n: int) -> tuple[int, ...]:
    """All sources if they are few, else those whose estimates are largest."""
    n_sources = len(screened.slopes)
    return tuple(range(n_sources)) if n_sources <= n else screened.best(n) or tuple(range(n))


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
