# pyright: standard
"""Validate paths: the claimed pairs, rerun beside random sources on prompts that had no part in finding them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from interp_lab.contracts.path_report import PathCard, PathFigures
from interp_lab.contracts.trace_paths import PathsResult
from interp_lab.contracts.validate_paths import ValidatePathsRequest
from interp_lab.engine.precision import decided_matmul
from interp_lab.errors import SplitImpossible
from interp_lab.evidence.grade import refuse_discovery_rows
from interp_lab.evidence.path_grade import grade_rerun
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.work import blocks_after
from interp_lab.workflows.tracing.claims import Claim, Claims, as_traced, ends_of, find_claims, grading_rows
from interp_lab.workflows.tracing.context import Context, Suggest
from interp_lab.workflows.tracing.cost import Amount, keep_pace
from interp_lab.workflows.tracing.ends import Ends, open_ends, with_controls
from interp_lab.workflows.tracing.measure import Measured, Part, Row, doses, figures, measure, off_positives, rows_of
from interp_lab.workflows.tracing.opening import open_context, positives, prepared
from interp_lab.workflows.tracing.records import record_lines
from interp_lab.workflows.tracing.report import assemble, publish, reason_codes, short_form
from interp_lab.workflows.tracing.shares import Share, ShareDone


class _Question(NamedTuple):
    """Edits and the prompts that they are made on."""

    rows: Sequence[Row]
    prompts: Sequence[int]
    what: str


def validate_paths(
    request: ValidatePathsRequest, run: Run, *, settings: Settings, suggest: Suggest, share: Share | None = None
) -> PathsResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    With a `share`, only its prompts are run, and what they give is kept in the checkpoint.

    Raises:
        DiscoveryRowsReused: Prompts that would grade a claim were used to find it.
        LabError: whatever is wrong with the request, the claims, the model or the prompts.
        ShareDone: The prompts of the share have been run.
    """
    with decided_matmul(run.checkpoint_dir):
        return _validated(request, run, settings, suggest, share=share)


def _validated(
    request: ValidatePathsRequest, run: Run, settings: Settings, suggest: Suggest, *, share: Share | None
) -> PathsResult:
    clock = time.perf_counter(), time.process_time()
    claims = find_claims(request, settings)
    request = as_traced(request, claims.report)
    context = open_context(request, run, settings, suggest)
    run.inputs |= {"trace": request.trace} if request.trace else {}
    sources, targets = ends_of(claims.claims)
    ends = prepared(context, open_ends(sources, targets, request, loaded=context.inputs.loaded, settings=settings))
    measured, negatives, *explored = _answers(context, ends, _questions(context, ends, claims), share)
    pairs = [_pair(ends, claim) for claim in claims.claims]
    found: Sequence[PathFigures | None] = [claim.found for claim in claims.claims]
    for one in explored:
        found = _figures(context, one, pairs, claims, part="explore")
    cards = _cards(
        request, context, claims, ends=ends, pairs=pairs, measured=measured, negatives=negatives, found=found
    )
    report = assemble(
        context,
        cards,
        kind="validation",
        screen=None,
        n_searched=claims.n_searched,
        n_runs=measured.n_runs + negatives.n_runs,
        discovery_rows=() if claims.report is None else claims.report.discovery_rows,
        trace=request.trace,
    )
    artifact = publish(report, record_lines(report, measured, context.inputs.prompts, pairs=pairs, part="confirm"), run)
    if request.shards == 1 and run.attempt < 2:  # of shards, and of a second attempt, only a part was done here
        amount = _amount(context, ends, n_prompts=[len(one.prompts) for one in (measured, *explored, negatives)])
        keep_pace(request, amount, context.inputs.loaded.facts, settings=settings, began=clock)
    return short_form(report, (suggest.after(report, artifact) + report.agent_next_actions)[:3])


def _amount(context: Context, ends: Ends, *, n_prompts: Sequence[int]) -> Amount:
    """As the plan counted it, so that its next one is corrected by what this took; negatives are the last prompts."""
    lengths = [len(tokens) for tokens in context.inputs.tokens]
    return Amount(
        n_sources=len(ends.sources),
        n_targets=len(ends.targets),
        n_measured=len(ends.sources),
        n_prompts=sum(n_prompts[:-1]),
        n_negatives=n_prompts[-1],
        tokens=sum(lengths) / len(lengths),
        screen=None,
        n_blocks=blocks_after(ends.route.source, context.inputs.loaded.facts.n_layers),
    )


def _held_out(context: Context, claims: Claims) -> list[int]:
    split = context.design.split
    rows = grading_rows(context.inputs.prompts, claims, confirm=split.rows("confirm"))
    if claims.report is None:
        refuse_discovery_rows(split.keys("explore"), frozenset(split.group_keys[row] for row in rows))
    on, off = (positives(context.design, rows, positive=kind) for kind in (True, False))
    groups = context.design.sample.groups
    if len({int(groups[row]) for row in on}) < 2 or len({int(groups[row]) for row in off}) < 2:
        raise SplitImpossible(f"{len(on)} positives and {len(off)} negatives are held out; each needs two groups.")
    return rows


def _questions(context: Context, ends: Ends, claims: Claims) -> list[_Question]:
    """Edits and random sources on held-out positives; on negatives the edits that are graded.

    Where the claims are pairs named here, third what they do on explore prompts; a trace has told that of its own.
    """
    request, explore = context.request, context.design.split.rows("explore")
    rows, chosen = _held_out(context, claims), range(len(ends.sources))

    def edits(scales: Sequence[float], seed: int) -> Sequence[Row]:
        tokens = [context.inputs.tokens[i] for i in explore]
        companions = with_controls(ends, chosen, context.inputs.loaded, tokens, n=request.n_controls, seed=seed)
        return rows_of(ends, chosen, scales, companions)

    on, off = (positives(context.design, rows, positive=kind) for kind in (True, False))
    asked = [
        _Question(edits(request.scales, request.seed + 1), on, "edits of held-out prompts"),
        _Question(rows_of(ends, chosen, request.scales[:1]), off, "edits of negatives"),
    ]
    if claims.report is None and not claims.imported:
        found = positives(context.design, explore)
        asked.append(_Question(edits(request.scales[:1], request.seed), found, "edits of explore prompts"))
    return asked


def _answers(context: Context, ends: Ends, asked: Sequence[_Question], share: Share | None) -> list[Measured]:
    """What edits did, question by question; no prompt is in two of them, so a share keeps all by their prompts."""
    if share is None:
        return [measure(context, ends, one.rows, one.prompts, what=one.what) for one in asked]
    for one in asked:
        with suppress(ShareDone):
            measure(context, ends, one.rows, one.prompts, what=one.what, share=share)
    raise ShareDone


def _figures(
    context: Context, measured: Measured, pairs: Sequence[tuple[int, int]], claims: Claims, *, part: Part
) -> list[PathFigures]:
    return figures(
        measured,
        pairs,
        context.request.scales[0],
        context.design.sample.groups[list(measured.prompts)],
        part=part,
        n_searched=claims.n_searched,
        least_share=context.request.least_share,
        has_behaviour=context.request.behaviour,
    )


def _cards(
    request: ValidatePathsRequest,
    context: Context,
    claims: Claims,
    *,
    ends: Ends,
    pairs: Sequence[tuple[int, int]],
    measured: Measured,
    negatives: Measured,
    found: Sequence[PathFigures | None],
) -> list[PathCard]:
    confirmed = _figures(context, measured, pairs, claims, part="confirm")
    off_groups = context.design.sample.groups[list(negatives.prompts)]
    cards: list[PathCard] = []
    for claim, (source, column), one, earlier in zip(claims.claims, pairs, confirmed, found, strict=True):
        off = off_positives(negatives, (source, column), request.scales[0], off_groups)
        bound = request.off_share * abs(one.mediated)
        sign = claim.sign if earlier is None else (earlier.mediated > 0) - (earlier.mediated < 0)
        grading = grade_rerun(sign, one, found=earlier, off_positives=off, off_bound=bound, imported=claims.imported)
        cards.append(
            PathCard(
                source=ends.end(source),
                target=ends.targets[column],
                explore=earlier,
                confirm=one,
                doses=doses(measured, source, column),
                off_positives=off,
                off_bound=bound,
                next_action=None,
                status=grading.status,
                grade=grading.grade,
                reasons=reason_codes(grading.reasons),
                provenance="imported" if claims.imported else "measured",
            )
        )
    return cards


def _pair(ends: Ends, claim: Claim) -> tuple[int, int]:
    key = claim.key.partition("=")[0]
    return next(i for i, subject in enumerate(ends.sources) if subject.key == key), ends.column(claim.target)
