# pyright: standard
"""Assembles the report of an inspection, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from safetensors.numpy import save_file

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect import InspectResult, RankedCoordinate
from interp_lab.contracts.inspect_report import (
    CoordinateCard,
    InspectReport,
    LayerRow,
    MapCell,
    Measured,
)
from interp_lab.evidence.grade import Q_LEVEL, too_few_to_confirm
from interp_lab.jobs.run import Run
from interp_lab.methods.association_map import association_map
from interp_lab.methods.stability import Stability
from interp_lab.reports.csv_table import inspect_csv
from interp_lab.reports.heat import strongest_token
from interp_lab.reports.html import render_html
from interp_lab.reports.markdown import render_markdown
from interp_lab.reports.orientation import oriented, turned
from interp_lab.workflows.inspection.cards import DIGITS, layer_rows
from interp_lab.workflows.inspection.learned import write_directions
from interp_lab.workflows.inspection.material import Material
from interp_lab.workflows.inspection.measure import Design, Findings
from interp_lab.workflows.inspection.tables import Table
from interp_lab.workflows.inspection.wording import audit_record, caveats, headline, too_few_groups
from interp_lab.workflows.memory.confirming import registered_words
from interp_lab.workflows.report_facts import dataset_facts, run_facts

KIND = "inspect_report"
LAYERS = 16
"""Addresses in the short form."""
Suggest = Callable[[InspectReport], tuple[NextAction, ...]]


def assemble(
    inputs: Material, plan: Design, findings: Findings, *, pooled: Table, cards: tuple[CoordinateCard, ...], run: Run
) -> InspectReport:
    """Return the report, without next actions."""
    audit = audit_record(plan.audit, plan.sample)
    confirm = findings.confirm
    n_significant = int(np.sum(findings.explore.q <= Q_LEVEL))
    return InspectReport(
        criterion=inputs.request.criterion,
        headline=headline(inputs.request.criterion, cards, audit, n_significant=n_significant),
        model=inputs.facts,
        dataset=dataset_facts(inputs, plan),
        pooling=inputs.request.pooling,
        n_tested=findings.explore.n_latents,
        n_significant=n_significant,
        q_level=Q_LEVEL,
        ranking_stability=_stability(findings.stability, plan),
        detectable_auroc=None if confirm is None else round(float(confirm.association.detectable), 4),
        audit=audit,
        layers=layer_rows(pooled, findings),
        coordinates=cards,
        caveats=(
            *caveats(cards, audit, confirmed=confirm is not None, unverified=inputs.unverified),
            *too_few_to_confirm(min(plan.sample.n_positive_groups, plan.sample.n_negative_groups)),
            *too_few_groups(findings.explore, len(plan.split.keys("explore"))),
        ),
        agent_next_actions=(),
        run=run_facts(run, seed=inputs.request.seed, checks=inputs.checked),
        association_map=tuple(
            MapCell(auroc=cell.auroc, log_q=cell.log_q, n=cell.n)
            for cell in association_map(findings.explore.auroc, findings.explore.q)
        ),
    )


def publish(report: InspectReport, findings: Findings, pooled: Table, run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and the statistics of every coordinate as tensors."""
    with run.artifact(KIND, f"{report.criterion[:120].rstrip('.')} in {report.model.id}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_markdown(report))
        files.write_text("report.html", render_html(report))
        files.write_text("report.csv", inspect_csv(report))
        save_file(_statistics(findings, pooled), files.path("statistics.safetensors"))
        write_directions(files, report, pooled.columns)
        files.metrics |= {"n_tested": report.n_tested, "n_significant": report.n_significant}
        files.warnings += report.caveats


def short_form(report: InspectReport) -> InspectResult:
    """Return what an agent reads first."""
    flagged = tuple(confound.name for confound in report.audit.confounds if confound.flagged)
    layers = strongest_layers(report.layers)
    return InspectResult(
        summary="\n".join(
            [
                report.headline,
                f"{report.n_significant} of {report.n_tested} coordinates pass q ≤ {report.q_level:g} on explore; "
                f"{_grades(report.coordinates)} among the {len(report.coordinates)} described.",
                *registered_words(report.hypothesis),
                *_edited_words(report.coordinates),
                *([] if report.handles is None else [report.handles.comparison.text]),
            ]
        ),
        warnings=(*report.caveats, *_left_out(len(layers), len(report.layers))),
        agent_next_actions=report.agent_next_actions,
        criterion=report.criterion,
        model=report.model.id,
        n_prompts=report.dataset.n_prompts,
        n_tested=report.n_tested,
        n_significant=report.n_significant,
        dataset_flags=flagged,
        ranking=tuple(_ranked(card) for card in report.coordinates),
        layers=layers,
        best_handle=None if report.handles is None else report.handles.comparison,
    )


def strongest_layers(rows: tuple[LayerRow, ...]) -> tuple[LayerRow, ...]:
    """Return at most `LAYERS` rows in their order: those strongest on explore, because confirm may choose nothing."""
    by_strength = sorted(range(len(rows)), key=lambda place: -rows[place].best_auroc)
    return tuple(rows[place] for place in sorted(by_strength[:LAYERS]))


def _left_out(n_shown: int, n_rows: int) -> tuple[str, ...]:
    if n_shown == n_rows:
        return ()
    return (f"Only the {n_shown} strongest of {n_rows} addresses are under layers; the report has all.",)


def _ranked(card: CoordinateCard) -> RankedCoordinate:
    confirm = None if card.confirm is None else oriented(card.confirm.auroc, card.sign)
    return RankedCoordinate(
        rank=card.rank,
        address=card.address,
        index=card.index,
        sign=card.sign,
        grade=card.grade,
        explore_auroc=round(turned(card.explore.auroc.value, card.sign), DIGITS),
        confirm_auroc=None if confirm is None else round(confirm.value, DIGITS),
        confirm_interval=None if confirm is None or confirm.interval is None else _rounded(confirm.interval),
        n_confirm_groups=card.confirm.auroc.n_groups if card.confirm else 0,
        q_value=card.explore.q_value if card.explore.q_value is not None else 1.0,
        reasons=tuple(reason.code for reason in card.reasons),
        top_token=strongest_token(card)[:40],
    )


def _rounded(ends: tuple[float, float]) -> tuple[float, float]:
    return round(ends[0], DIGITS), round(ends[1], DIGITS)


def _grades(cards: tuple[CoordinateCard, ...]) -> str:
    counts: dict[str, int] = {}
    for card in cards:
        counts[card.grade] = counts.get(card.grade, 0) + 1
    return ", ".join(f"{n} {grade}" for grade, n in counts.items())


def _edited_words(cards: tuple[CoordinateCard, ...]) -> tuple[str, ...]:
    edited = [card for card in cards if card.causal]
    if not edited:
        return ()
    n_edits = sum(len(card.causal) for card in edited)
    beyond = sum(any(edit.counts for edit in card.causal) for card in edited)
    moved = [
        f"{c.address} #{c.index} {c.association_grade} → {c.grade}" for c in edited if c.grade != c.association_grade
    ]
    changed = "; ".join(moved[:5]) or "no grade moved"
    return (
        f"Interventions: {n_edits} edits, {len(edited)} coordinates edited, {beyond} beyond their controls on confirm "
        f"prompts; {changed}.",
    )


def _stability(found: Stability | None, plan: Design) -> Measured | None:
    if found is None:
        return None
    values = found.rank_agreement
    return Measured(
        value=round(float(np.mean(values)), 4),
        unit="Spearman rank correlation",
        n_prompts=len(plan.split.rows("explore")),
        n_groups=len(plan.split.keys("explore")),
        interval=Interval(
            low=round(float(np.min(values)), 4),
            high=round(float(np.max(values)), 4),
            level=1.0,
            method=f"range over {len(values)} random halvings of the explore groups",
        ),
    )


def _statistics(findings: Findings, pooled: Table) -> dict[str, np.ndarray]:
    explore = findings.explore
    names = ("auroc", "low", "high", "d", "r", "rate_positive", "rate_negative", "p", "q")
    tensors: dict[str, np.ndarray] = {}
    for address, columns in pooled.columns.items():
        for name in names:
            tensors[f"{address}/{name}"] = np.ascontiguousarray(getattr(explore, name)[columns])
        tensors[f"{address}/density"] = np.ascontiguousarray(pooled.density[columns])
    return tensors
