# pyright: standard
"""Assembles the report of a circuit, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.circuit_report import (
    CIRCUIT_KIND,
    CircuitEdge,
    CircuitNode,
    CircuitReport,
    CircuitSettings,
)
from interp_lab.contracts.find_circuit import CircuitResult
from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.evidence.circuit_grade import grade_circuit
from interp_lab.jobs.run import Run
from interp_lab.reports.circuit import render_circuit, render_circuit_markdown
from interp_lab.workflows.circuits.measure import Measured
from interp_lab.workflows.circuits.opening import Context
from interp_lab.workflows.circuits.search import Found
from interp_lab.workflows.inspection.inputs import model_facts
from interp_lab.workflows.intervening.behaviour import words
from interp_lab.workflows.report_facts import dataset_facts, run_facts

MOST_SHOWN = 30
"""Edges of a short form."""
_POOR = 0.1
"""Share of the whole difference that attributions may miss without a word."""


def assemble(context: Context, found: Found, measured: Measured, actions: tuple[NextAction, ...] = ()) -> CircuitReport:
    """Return the report."""
    grading = grade_circuit(measured.circuit, measured.controls, n_groups=measured.n_groups)
    edges = _edges(context, found)
    return CircuitReport(
        criterion=context.request.criterion,
        headline=_headline(context, measured),
        model=model_facts(context.inputs.loaded),
        dataset=dataset_facts(context.inputs, context.design),
        settings=_settings(context),
        nodes=_nodes(context, edges),
        edges=edges,
        circuit=measured.circuit,
        on_explore=measured.on_explore,
        curve=measured.curve,
        area_kept=measured.areas.kept,
        area_missed=measured.areas.missed,
        controls=measured.controls,
        attribution=found.check,
        n_prompts=(len(context.explore.rows), len(context.confirm.rows)),
        n_groups=measured.n_groups,
        n_tests=found.pruned.n_tests,
        grade=grading.grade,
        reasons=tuple(ReasonCode(code=reason.value, text=reason.meaning) for reason in grading.reasons),
        caveats=tuple(_caveats(context, found)),
        agent_next_actions=actions,
        run=run_facts(context.run, seed=context.request.seed, checks=context.inputs.checked),
    )


def publish(report: CircuitReport, run: Run) -> str:
    """Write the report as JSON, Markdown and HTML; return the artifact's id."""
    with run.artifact(CIRCUIT_KIND, f"{report.criterion[:120].rstrip('.')} in {report.model.id}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_circuit_markdown(report))
        files.write_text("report.html", render_circuit(report))
        files.metrics |= {"n_edges": report.circuit.n_edges, "faithfulness": round(report.circuit.faithfulness, 4)}
        files.warnings += report.caveats
    return files.id


def short_form(report: CircuitReport) -> CircuitResult:
    """Return what an agent reads first."""
    kept = [edge for edge in report.edges if edge.in_circuit]
    more = len(kept) - MOST_SHOWN
    interval = report.circuit.faithfulness_interval
    return CircuitResult(
        summary=f"{report.headline}\nGrade {report.grade}: {' '.join(reason.text for reason in report.reasons)}",
        warnings=(*report.caveats, *((f"{more} more edges are in the report.",) if more > 0 else ())),
        agent_next_actions=report.agent_next_actions[:3],
        criterion=report.criterion,
        model=report.model.id,
        ablation=report.settings.ablation,
        metric=report.settings.metric,
        grade=report.grade,
        reasons=tuple(reason.code for reason in report.reasons),
        n_edges=report.circuit.n_edges,
        n_all_edges=len(report.edges),
        nodes=tuple(node.name for node in report.nodes if node.in_circuit),
        edges=tuple(kept[:MOST_SHOWN]),
        faithfulness=report.circuit.faithfulness,
        interval=(interval.low, interval.high),
        completeness=report.circuit.completeness,
        random_largest=report.controls.largest,
        p_value=report.controls.p_value,
        n_groups=report.n_groups,
    )


def _headline(context: Context, measured: Measured) -> str:
    one, request = measured.circuit, context.request
    low, high = one.faithfulness_interval.low, one.faithfulness_interval.high
    return (
        f"{one.n_edges} of {len(context.graph.components.edges)} edges carry {one.faithfulness:.2f} [{low:.2f}, "
        f"{high:.2f}] of '{request.criterion}' ({request.metric}) on {measured.n_groups} held-out groups, all others "
        f"ablated to {request.ablation}; without them {one.completeness:.2f} is left."
    )


def _caveats(context: Context, found: Found) -> Iterator[str]:
    yield (
        f"Edges were ablated to {context.request.ablation}; another ablation may find other edges, so figures of "
        "different ablations are not compared."
    )
    if context.n_without_partner:
        yield f"{context.n_without_partner} prompts were left out: no other prompt has as many tokens."
    if found.check.sum_error > _POOR:
        yield (
            f"Attributions miss the whole difference by {found.check.sum_error:.0%}; they only set the order in which "
            "edges were cut, by exact tests. More n_steps bring them closer."
        )
    if not context.graph.components.splits_heads:
        yield "A norm after attention mixes the heads of this model, so a layer's attention is one component."


def _edges(context: Context, found: Found) -> tuple[CircuitEdge, ...]:
    kept = set(found.pruned.kept)
    return tuple(
        CircuitEdge(
            source=context.graph.components.edges[i][0],
            target=context.graph.components.edges[i][1],
            in_circuit=i in kept,
            attribution=float(found.attributions[i]),
            cost=float(found.pruned.costs[i]),
        )
        for i in found.order
    )


def _nodes(context: Context, edges: tuple[CircuitEdge, ...]) -> tuple[CircuitNode, ...]:
    return tuple(
        CircuitNode(
            name=name,
            in_circuit=any(edge.in_circuit for edge in edges if name in (edge.source, edge.target)),
            cost=max(edge.cost for edge in edges if name in (edge.source, edge.target)),
        )
        for name in context.graph.components.nodes
    )


def _settings(context: Context) -> CircuitSettings:
    request, chosen, loaded = context.request, context.chosen, context.inputs.loaded
    return CircuitSettings(
        ablation=request.ablation,
        metric=request.metric,
        positions="last" if request.metric == "logit_difference" else request.positions,
        tolerance=request.tolerance,
        target_tokens=() if chosen is None else words(loaded, chosen.targets),
        alternative_tokens=() if chosen is None else words(loaded, chosen.alternatives),
        splits_heads=context.graph.components.splits_heads,
    )
