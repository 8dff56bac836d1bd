# pyright: standard
"""Inspect: which coordinates of a model follow a criterion, from prompts to a published report."""

from __future__ import annotations

from functools import partial

from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_report import Context
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.cards import coordinate_cards, sign_of
from interp_lab.workflows.inspection.contexts import context, strongest_prompts
from interp_lab.workflows.inspection.edited.columns import Columns
from interp_lab.workflows.inspection.edited.merge import merge_edits
from interp_lab.workflows.inspection.edited.sources import open_edits
from interp_lab.workflows.inspection.handles import compare_handles
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.lenses import decoder_rows
from interp_lab.workflows.inspection.measure import Findings, design, measure
from interp_lab.workflows.inspection.passes import pool_prompts, read_tokens
from interp_lab.workflows.inspection.recorded import open_recorded
from interp_lab.workflows.inspection.registered import with_memory
from interp_lab.workflows.inspection.report import Suggest, assemble, publish, short_form
from interp_lab.workflows.inspection.tables import Pooled


def inspect(request: InspectRequest, run: Run, *, settings: Settings, suggest: Suggest) -> InspectResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts, before or while it is read.
    """
    if request.evidence is not None:
        return _of_records(request, run, settings=settings, suggest=suggest)
    run.progress(0, None, "opening the model and the prompts")
    edits = open_edits(request, settings)
    inputs = open_inputs(request, settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance() | edits.provenance()
    plan = design(inputs)
    with decided_matmul(run.checkpoint_dir):
        pooled = pool_prompts(inputs, run)
        run.progress(0, None, "ranking and confirming")
        merged = merge_edits(
            edits, inputs, plan, columns=Columns.of(pooled, request.dictionaries, None), settings=settings
        )
        findings = measure(inputs, pooled, plan, edited=merged.columns)
        cards = coordinate_cards(pooled, plan, findings, _contexts(inputs, pooled, findings, run), edits=merged)
    run.progress(0, None, "comparing with sets, directions and a probe")
    handles = compare_handles(pooled, plan, findings.explore, decoders=partial(decoder_rows, pooled))
    report = assemble(inputs, plan, findings, pooled=pooled, cards=cards, run=run)
    report = report.model_copy(update={"handles": handles, "caveats": (*report.caveats, *merged.notes)})
    report = with_memory(report, request, inputs.prompts, settings)
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, findings, pooled, run)
    return short_form(report)


def _of_records(request: InspectRequest, run: Run, *, settings: Settings, suggest: Suggest) -> InspectResult:
    """The same for values on disk: no model is run."""
    run.progress(0, None, "reading the recorded values")
    edits = open_edits(request, settings)
    recorded = open_recorded(request, settings)
    run.seed = request.seed
    run.inputs |= recorded.provenance() | edits.provenance()
    plan, table = design(recorded), recorded.table
    run.progress(0, None, "ranking and confirming")
    columns = Columns.of(table, (), recorded.values.names)
    merged = merge_edits(edits, recorded, plan, columns=columns, settings=settings)
    findings = measure(recorded, table, plan, edited=merged.columns)
    described = findings.columns[: findings.n_described]
    contexts = recorded.contexts(described, {column: sign_of(findings, column) for column in described})
    cards = coordinate_cards(table, plan, findings, contexts, names=recorded.values.names, edits=merged)
    run.progress(0, None, "comparing with sets, directions and a probe")
    handles = compare_handles(table, plan, findings.explore)
    report = assemble(recorded, plan, findings, pooled=table, cards=cards, run=run)
    notes = (*report.caveats, *recorded.values.notes, *merged.notes)
    report = report.model_copy(update={"handles": handles, "caveats": notes})
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, findings, table, run)
    return short_form(report)


def _contexts(inputs: Inputs, pooled: Pooled, findings: Findings, run: Run) -> dict[int, tuple[Context, ...]]:
    """Return the top contexts of every described column."""
    described = findings.columns[: findings.n_described]
    n_contexts = inputs.request.n_contexts
    tops = {c: strongest_prompts(pooled.values[:, c], sign_of(findings, c), n_contexts) for c in described}
    places = {c: pooled.locate(c) for c in described}
    coordinates = {address: sorted({i for a, i in places.values() if a == address}) for address, _ in places.values()}
    prompts = sorted({i for top in tops.values() for i in top})
    tokens = read_tokens(inputs, prompts, coordinates, run)
    positive = inputs.prompts.positive(inputs.request.threshold)
    shown: dict[int, tuple[Context, ...]] = {}
    for column, top in tops.items():
        address, index = places[column]
        lane = coordinates[address].index(index)
        shown[column] = tuple(
            context(
                inputs.prompts.prompts[i],
                inputs.tokens[i],
                [float(value) for value in tokens[i][address][:, lane]],
                pooled=float(pooled.values[i, column]),
                pooling=inputs.request.pooling,
                positive=positive[i],
                sign=sign_of(findings, column),
            )
            for i in top
        )
    return shown
