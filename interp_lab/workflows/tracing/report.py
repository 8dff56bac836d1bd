# pyright: standard
"""Assembles the report of a trace or a validation, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.contracts.path_report import (
    TRACE_KIND,
    VALIDATION_KIND,
    PathCard,
    PathReport,
    PathSettings,
    ScreenFacts,
)
from interp_lab.contracts.trace_paths import PathRequest, PathShort, PathsResult
from interp_lab.evidence.path_grade import PathReason
from interp_lab.jobs.run import Run
from interp_lab.reports.paths import graph_of, render_paths, render_paths_markdown
from interp_lab.workflows.inspection.inputs import model_facts
from interp_lab.workflows.intervening.behaviour import words
from interp_lab.workflows.report_facts import dataset_facts, run_facts
from interp_lab.workflows.tracing.context import Context

MOST_SHOWN = 20
"""Paths of a short form."""


def assemble(
    context: Context,
    cards: Sequence[PathCard],
    *,
    kind: Literal["trace", "validation"],
    screen: ScreenFacts | None,
    n_searched: int,
    n_runs: int,
    discovery_rows: Sequence[str],
    trace: str | None = None,
) -> PathReport:
    """Return the report, without next actions."""
    cards = [card.model_copy(update={"next_action": context.suggest.path(card)}) for card in cards]
    return PathReport(
        kind=kind,
        criterion=context.request.criterion,
        headline=headline(context.request, cards, kind),
        model=model_facts(context.inputs.loaded),
        dataset=dataset_facts(context.inputs, context.design),
        settings=_settings(context, cards),
        screen=screen,
        paths=tuple(cards),
        n_searched=n_searched,
        n_runs=n_runs,
        discovery_rows=tuple(sorted(set(discovery_rows))),
        trace=trace,
        caveats=(*_caveats(context, cards, kind), *missed_by_estimate(screen)),
        agent_next_actions=context.suggest.paths(cards)[:3],
        run=run_facts(context.run, seed=context.request.seed, checks=context.inputs.checked),
    )


def reason_codes(reasons: Sequence[PathReason]) -> tuple[ReasonCode, ...]:
    """Return reasons as reports show them."""
    return tuple(ReasonCode(code=reason.value, text=reason.meaning) for reason in reasons)


def publish(report: PathReport, records: Iterator[str], run: Run) -> str:
    """Write the report as JSON, Markdown and HTML, its graph, and every run as a record; return the artifact's id."""
    kind = TRACE_KIND if report.kind == "trace" else VALIDATION_KIND
    with run.artifact(kind, f"{report.criterion[:120].rstrip('.')} in {report.model.id}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_paths_markdown(report))
        files.write_text("report.html", render_paths(report))
        files.write_json("graph.json", graph_of(report))
        files.write_text("paths.jsonl", "".join(f"{line}\n" for line in records))
        files.metrics |= {"n_runs": report.n_runs, "n_validated": sum(c.grade == "validated" for c in report.paths)}
        files.warnings += report.caveats
    return files.id


def short_form(report: PathReport, actions: tuple[NextAction, ...]) -> PathsResult:
    """Return what an agent reads first."""
    counted: dict[str, int] = {}
    for card in report.paths:
        counted[card.status] = counted.get(card.status, 0) + 1
    told = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counted.items()) or "no path"
    chosen = how_chosen(report.screen)
    searched = f"{report.n_searched} pairs searched" + (f" ({chosen})" if chosen else "")
    return PathsResult(
        summary=f"{report.headline}\n{report.n_runs} edited runs, {searched}; {told}.",
        warnings=(*report.caveats, *_left_out(report)),
        agent_next_actions=actions,
        criterion=report.criterion,
        model=report.model.id,
        n_searched=report.n_searched,
        n_runs=report.n_runs,
        screen=() if report.screen is None else report.screen.errors,
        target_tokens=report.settings.target_tokens[:10],
        paths=tuple(_short(card) for card in report.paths[:MOST_SHOWN]),
    )


def _left_out(report: PathReport) -> tuple[str, ...]:
    n = len(report.paths) - MOST_SHOWN
    return (f"{n} more paths are in the report.",) if n > 0 else ()


def headline(request: PathRequest, cards: Sequence[PathCard], kind: str) -> str:
    """Return one sentence that is true when quoted alone."""
    if kind == "trace":
        found = [card for card in cards if card.status == "candidate"]
        if not found:
            return f"No path beyond random sources was found on explore prompts of '{request.criterion}'."
        best, figures = found[0], found[0].explore
        assert figures is not None
        return (
            f"Strongest candidate path for '{request.criterion}': {best.source.key} → {best.target.key}, mediated "
            f"effect {figures.mediated:.3g} on {figures.n_groups} explore groups, not yet run on held-out prompts."
        )
    held = [card for card in cards if card.grade == "validated" and card.confirm is not None]
    if not held:
        return f"None of {len(cards)} claimed paths for '{request.criterion}' is validated on held-out prompts."
    best = max(held, key=lambda card: abs(card.confirm.share) if card.confirm else 0.0)
    figures = best.confirm
    assert figures is not None
    low, high = figures.mediated_interval.low, figures.mediated_interval.high
    return (
        f"{len(held)} of {len(cards)} claimed paths for '{request.criterion}' hold on held-out prompts; "
        f"{best.source.key} → {best.target.key} mediates {figures.mediated:.3g} [{low:.3g}, {high:.3g}] "
        f"over {figures.n_groups} groups."
    )


def _caveats(context: Context, cards: Sequence[PathCard], kind: str) -> Iterator[str]:
    yield "An effect is of this edit (a multiple of the source's own value) on these prompts; other edits may differ."
    if kind == "trace":
        yield "Paths were chosen on explore prompts, so they look larger than they are; validate_paths reruns them."
    if any(card.status == "passes_along" for card in cards):
        yield "Some effects are only the stream handing a direction on: two directions that overlap, not a mechanism."
    if not context.request.hold and not context.request.hold_units:
        yield "Effects are total: other units in between may carry them; name hold or hold_units for direct effects."
    if not context.design.split.rows("confirm"):
        yield "There were too few independent prompt groups to set some aside, so nothing can be validated."


def missed_by_estimate(screen: ScreenFacts | None) -> Iterator[str]:
    """Yield what an estimate may have left out, which silent sources are not: their effect is exactly 0."""
    if screen is None or screen.how != "gradient" or screen.n_checked is None:
        return
    begin = (
        f"Of {screen.n_sources:,} sources {screen.n_checked:,} were compared exactly; the others are silent, or an "
        "estimate left them out"
    )
    if screen.recall is None:
        yield f"{begin}; nothing tells how many of those with the largest effects are among them. screen='exact' does."
    elif screen.recall_interval is not None and screen.recall_interval.low < 1:
        low, high = screen.recall_interval.low, screen.recall_interval.high
        yield (
            f"{begin}; about {screen.recall:.2f} [{low:.2f}, {high:.2f}] of those with the largest effects are among "
            "the measured ones. screen='exact' compares all."
        )


def how_chosen(screen: ScreenFacts | None) -> str | None:
    """Return in words how the measured sources were chosen; None where all were."""
    if screen is None or screen.how is None:
        return None
    of = f"the {screen.n_measured:,} strongest of {screen.n_sources:,} sources"
    if screen.how == "exact":
        return f"{of}, all compared exactly"
    return f"{of}, {screen.n_checked or 0:,} compared exactly and the others by gradients"


def _short(card: PathCard) -> PathShort:
    found = card.confirm or card.explore
    interval = None if found is None else (found.mediated_interval.low, found.mediated_interval.high)
    return PathShort(
        source=card.source.key,
        target=card.target.key,
        status=card.status,
        grade=card.grade,
        reasons=tuple(reason.code for reason in card.reasons),
        mediated=None if found is None else found.mediated,
        interval=interval,
        passed_along=None if found is None else found.passed_along,
        direct=None if found is None else found.direct,
        share=None if found is None else found.share,
        control_ratio=None if found is None else min((c.ratio for c in found.controls), default=0.0),
        q_value=None if found is None else found.q_value,
        sign_consistency=None if found is None else found.sign_consistency,
        behaviour=None if found is None else found.behaviour,
        n_groups=0 if found is None else found.n_groups,
    )


def _settings(context: Context, cards: Sequence[PathCard]) -> PathSettings:
    request, chosen, loaded = context.request, context.chosen, context.inputs.loaded
    return PathSettings.model_validate(
        {
            "address": cards[0].source.address if cards else "embed",
            "scales": request.scales,
            "rest": request.rest,
            "pool": request.pool,
            "hold": request.hold,
            "hold_units": request.hold_units,
            "target_tokens": () if chosen is None else words(loaded, chosen.targets),
            "alternative_tokens": () if chosen is None else words(loaded, chosen.alternatives),
            "chosen_tokens": "given" if chosen is None else chosen.how,
            "n_controls": request.n_controls,
            "least_share": request.least_share,
        }
    )
