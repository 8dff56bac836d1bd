# pyright: standard
"""Inspect: which coordinates of a model follow a criterion, from prompts to a published report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_evidence import DirectionsEvidence
from interp_lab.contracts.inspect_report import Context, CoordinateCard, InspectReport
from interp_lab.engine.precision import decided_matmul
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.cards import coordinate_cards, sign_of
from interp_lab.workflows.inspection.contexts import context, strongest_prompts
from interp_lab.workflows.inspection.edited.columns import Columns
from interp_lab.workflows.inspection.edited.merge import merge_edits
from interp_lab.workflows.inspection.edited.sources import Edits, open_edits
from interp_lab.workflows.inspection.edited.tested import Merged
from interp_lab.workflows.inspection.handles import Decoders, compare_handles
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.learned import Taught, taught
from interp_lab.workflows.inspection.lenses import decoder_rows, decoders_behind
from interp_lab.workflows.inspection.listed import column_names
from interp_lab.workflows.inspection.material import Material
from interp_lab.workflows.inspection.measure import Design, Findings, design, measure
from interp_lab.workflows.inspection.passes import read_tokens
from interp_lab.workflows.inspection.questions import (
    corrected_together,
    pool_together,
    together_note,
    with_criteria,
    with_further,
)
from interp_lab.workflows.inspection.recorded import for_every_criterion, open_recorded
from interp_lab.workflows.inspection.registered import with_memory
from interp_lab.workflows.inspection.report import Suggest, assemble, publish, short_form
from interp_lab.workflows.inspection.tables import Pooled, Table
from interp_lab.workflows.memory.history import contents_of


class _Asked(NamedTuple):
    """One criterion, measured."""

    material: Material
    table: Table
    plan: Design
    findings: Findings
    cards: tuple[CoordinateCard, ...]
    notes: tuple[str, ...]
    """What a careful reader must know of where the values come from."""
    decoders: Decoders | None = None
    """What columns write, where the values do not tell."""


def inspect(request: InspectRequest, run: Run, *, settings: Settings, suggest: Suggest) -> InspectResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    With further criteria there is a report for each, that of the first first.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts, before or while it is read.
    """
    if not request.runs_model:
        return _of_records(request, run, settings=settings, suggest=suggest)
    run.progress(0, None, "opening the model and the prompts")
    edits = open_edits(request, settings)
    several = with_further(open_inputs(request, settings), settings)
    inputs = several[0]
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance() | _sources(edits) | _further_prompts(several)
    plans = [design(each) for each in several]
    with decided_matmul(run.checkpoint_dir):
        read = _read(several, plans, run)
        run.progress(0, None, "ranking and confirming")
        merged = [
            merge_edits(own, each, values.plan, columns=_named(values, request, settings), settings=settings)
            for own, each, values in zip(edits, several, read, strict=True)
        ]
        found = corrected_together(
            [
                measure(each, values.table, values.plan, edited=own.columns)
                for each, values, own in zip(several, read, merged, strict=True)
            ]
        )
        asked = [
            _Asked(
                each,
                values.table,
                values.plan,
                own,
                _cards(each, values, findings=own, edits=edited, run=run),
                (*inputs.notes, *values.notes, *edited.notes),
            )
            for each, values, own, edited in zip(several, read, found, merged, strict=True)
        ]
    return _published(asked, run, settings=settings, suggest=suggest)


def _read(several: Sequence[Inputs], plans: Sequence[Design], run: Run) -> list[Taught]:
    """Read the coordinates of every criterion in one pass, or learn the directions of each in two."""
    if isinstance(several[0].request.evidence, DirectionsEvidence):
        return [taught(each, plan, run, number=i) for i, (each, plan) in enumerate(zip(several, plans, strict=True))]
    tables = pool_together(several, run)
    return [Taught(plan, table, table, ()) for plan, table in zip(plans, tables, strict=True)]


def _named(values: Taught, request: InspectRequest, settings: Settings) -> Columns:
    same = contents_of(settings).names(request.dictionaries)
    return Columns.of(values.table, request.dictionaries, column_names(values.table.columns) or None, same=same)


def _of_records(request: InspectRequest, run: Run, *, settings: Settings, suggest: Suggest) -> InspectResult:
    """The same for values on disk: no model is run."""
    run.progress(0, None, "reading the recorded values")
    edits = open_edits(request, settings)
    several = for_every_criterion(open_recorded(request, settings))
    run.seed = request.seed
    run.inputs |= several[0].provenance() | _sources(edits) | _further_prompts(several)
    plans, values = [design(each) for each in several], several[0].values
    run.progress(0, None, "ranking and confirming")
    columns = Columns.of(values.table, (), values.names)
    merged = [
        merge_edits(own, each, plan, columns=columns, settings=settings)
        for own, each, plan in zip(edits, several, plans, strict=True)
    ]
    found = corrected_together(
        [
            measure(each, values.table, plan, edited=own.columns)
            for each, plan, own in zip(several, plans, merged, strict=True)
        ]
    )
    decoders = partial(decoders_behind, values.table, _codes(request, settings), settings)
    asked: list[_Asked] = []
    for each, plan, own, edited in zip(several, plans, found, merged, strict=True):
        described = own.columns[: own.n_described]
        contexts = each.contexts(described, {column: sign_of(own, column) for column in described})
        cards = coordinate_cards(values.table, plan, own, contexts, names=values.names, edits=edited)
        asked.append(_Asked(each, values.table, plan, own, cards, (*values.notes, *edited.notes), decoders))
    return _published(asked, run, settings=settings, suggest=suggest)


def _published(asked: Sequence[_Asked], run: Run, *, settings: Settings, suggest: Suggest) -> InspectResult:
    """Publish the report of every criterion, and return the answer about the first."""
    run.progress(0, None, "comparing with sets, directions and a probe")
    reports: list[InspectReport] = []
    for one in asked:
        decoders = one.decoders or partial(decoder_rows, one.table)
        sites = () if isinstance(one.material.request.evidence, DirectionsEvidence) else None  # they are what is ranked
        handles = compare_handles(one.table, one.plan, one.findings.explore, sites=sites, decoders=decoders)
        report = assemble(one.material, one.plan, one.findings, pooled=one.table, cards=one.cards, run=run)
        notes = (*report.caveats, *one.notes, *together_note(len(asked)))
        report = report.model_copy(update={"handles": handles, "caveats": notes})
        if one.material.request.runs_model:
            report = with_memory(report, one.material.request, one.material.prompts, settings)
        report = report.model_copy(update={"agent_next_actions": suggest(report)})
        publish(report, one.findings, one.table, run)
        reports.append(report)
    return with_criteria(short_form(reports[0]), reports, run.artifact_ids[-len(reports) :])


def _codes(request: InspectRequest, settings: Settings) -> Mapping[str, str]:
    """The dictionary of each column of codes, where the values are those of a store."""
    return contents_of(settings).behind(request.model_dump(mode="json"))


def _sources(edits: Sequence[Edits]) -> dict[str, str]:
    """What was read of interventions, by name; a file about several criteria is one."""
    return {name: value for one in edits for name, value in one.provenance().items()}


def _further_prompts(several: Sequence[Material]) -> dict[str, str]:
    return {
        f"prompts {number}": f"{each.prompts.name} sha256:{each.prompts.sha256}"
        for number, each in enumerate(several[1:], start=2)
    }


def _cards(
    inputs: Inputs, values: Taught, *, findings: Findings, edits: Merged, run: Run
) -> tuple[CoordinateCard, ...]:
    contexts = _contexts(inputs, values.shown, findings, run)
    names = column_names(values.table.columns) or None
    return coordinate_cards(values.table, values.plan, findings, contexts, names=names, edits=edits)


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
