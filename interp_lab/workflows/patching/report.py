# pyright: standard
"""Assembles the report of activation patching, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_report import ReasonCode
from interp_lab.contracts.patch_activations import PatchRequest, PatchResult, PatchShort
from interp_lab.contracts.patch_report import (
    PATCH_KIND,
    PatchCellFigures,
    PatchMapFigures,
    PatchReport,
    PatchStatus,
)
from interp_lab.engine.intervention.fast import fast_path
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS, Q_LEVEL
from interp_lab.jobs.run import Run
from interp_lab.methods.causal_effect import METHOD
from interp_lab.reports.patching import cell_name, render_patching, render_patching_markdown
from interp_lab.statistics.clustered_mean import INTERVAL_METHOD
from interp_lab.workflows.inspection.inputs import Inputs, model_facts
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.behaviour import Chosen, words
from interp_lab.workflows.patching.measure import Grid, Maps, Tested
from interp_lab.workflows.patching.pairs import Pairs
from interp_lab.workflows.report_facts import dataset_facts, run_facts

Suggest = Callable[[PatchReport], tuple[NextAction, ...]]
_RATIO_METHOD = "Student t on group sums of a ratio"


@dataclass(frozen=True, eq=False)
class Found:
    """Everything that a report says."""

    inputs: Inputs
    design: Design
    pairs: Pairs
    chosen: Chosen
    maps: Maps
    tested: tuple[Tested, ...]
    n_runs: int


def assemble(request: PatchRequest, found: Found, run: Run, suggest: Suggest) -> PatchReport:
    """Return the report, next actions included."""
    inputs, pairs, mapped = found.inputs, found.pairs, found.maps
    apart, columns = mapped.difference, pairs.columns
    groups = {int(found.design.sample.groups[pair.number]) for pair in pairs.confirm}
    cells = tuple(_cell(one, columns, len(groups)) for one in found.tested)
    flags = tuple(_flags(mapped))
    report = PatchReport(
        criterion=request.criterion,
        headline=_headline(request, cells, len(groups), flags),
        model=model_facts(inputs.loaded),
        dataset=dataset_facts(inputs, found.design),
        targets=words(inputs.loaded, found.chosen.targets),
        alternatives=words(inputs.loaded, found.chosen.alternatives),
        target_tokens=found.chosen.how,
        clean=float(mapped.clean.mean()),
        corrupt=float(mapped.corrupt.mean()),
        difference_interval=None if apart is None else _interval(apart.low, apart.high, INTERVAL_METHOD),
        n_explore=len(pairs.explore),
        n_confirm=len(pairs.confirm),
        n_groups=len(groups),
        left_out={str(reason): n for reason, n in pairs.left_out.items()},
        column_kind=pairs.kind,
        example=(pairs.explore[0].clean.text, pairs.explore[0].corrupt.text),
        maps=tuple(_map(grid, columns) for grid in mapped.grids),
        cells=cells,
        n_controls=request.n_controls,
        n_runs=found.n_runs,
        flags=flags,
        caveats=tuple(_caveats(request, found, len(groups))),
        agent_next_actions=(),
        run=run_facts(
            run, seed=request.seed, checks=inputs.checked | {"edited runs": fast_path(inputs.loaded).in_words()}
        ),
    )
    return report.model_copy(update={"agent_next_actions": suggest(report)})


def publish(report: PatchReport, run: Run) -> None:
    """Write the report as JSON, Markdown and HTML."""
    with run.artifact(PATCH_KIND, f"{report.criterion[:120].rstrip('.')} in {report.model.id}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_patching_markdown(report))
        files.write_text("report.html", render_patching(report))
        files.metrics |= {"n_runs": report.n_runs, "n_carrying": sum(c.status == "carries" for c in report.cells)}
        files.warnings += report.caveats


def short_form(report: PatchReport) -> PatchResult:
    """Return what an agent reads first."""
    counted: dict[str, int] = {}
    for cell in report.cells:
        counted[cell.status] = counted.get(cell.status, 0) + 1
    told = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counted.items())
    return PatchResult(
        summary=f"{report.headline}\n{report.n_runs} patched runs of {report.n_explore} + {report.n_confirm} pairs; "
        f"of the strongest places {told}. Maps are in report.html and report.json.",
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        criterion=report.criterion,
        model=report.model.id,
        targets=report.targets[:10],
        alternatives=report.alternatives[:10],
        difference=report.clean - report.corrupt,
        n_pairs=(report.n_explore, report.n_confirm),
        left_out=report.left_out,
        cells=tuple(_short(cell) for cell in report.cells[:20]),
        n_runs=report.n_runs,
    )


def _short(cell: PatchCellFigures) -> PatchShort:
    held = cell.share_interval
    return PatchShort(
        place=cell_name(cell),
        way=cell.way,
        status=cell.status,
        share=cell.share,
        interval=None if held is None else (held.low, held.high),
        control=cell.control,
        q_value=cell.q_value,
    )


def _headline(
    request: PatchRequest, cells: Sequence[PatchCellFigures], n_groups: int, flags: Sequence[ReasonCode]
) -> str:
    if flags:
        return f"No place is named for '{request.criterion}': {flags[0].text}"
    carrying = [cell for cell in cells if cell.status == "carries"]
    if not carrying:
        why = "too few to tell" if n_groups < LEAST_CONFIRM_GROUPS else "none beyond random changes of its length"
        return f"Of the strongest places for '{request.criterion}', on {n_groups} held-out groups of pairs: {why}."
    best = max(carrying, key=lambda cell: abs(cell.share or 0.0))
    assert best.share is not None
    assert best.share_interval is not None
    low, high, size = best.share_interval.low, best.share_interval.high, abs(best.share)
    does = {"denoising": "brings back", "noising": "takes away"}[best.way] if best.share > 0 else "works against"
    return (
        f"{cell_name(best)} alone {does} {size:.0%} [{low:.0%}, {high:.0%}] of the difference that "
        f"'{request.criterion}' makes to these target words, on {n_groups} held-out groups of pairs, beyond random "
        "changes of the same length; other places may do the same."
    )


def _cell(one: Tested, columns: Sequence[str], n_groups: int) -> PatchCellFigures:
    ratio, found = one.share, one.contrast
    name = str(one.place.column) if one.place.component == "heads" else columns[one.place.column]
    return PatchCellFigures(
        component=one.place.component,
        layer=one.place.layer,
        column=name,
        way=one.way,
        explore_share=_rounded(one.explore_share),
        share=None if ratio is None else _rounded(ratio.ratio),
        share_interval=None if ratio is None else _interval(ratio.low, ratio.high, _RATIO_METHOD),
        control=None if found is None else _rounded(found.control),
        beyond_control=None if found is None else _interval(found.low, found.high, METHOD),
        q_value=None if one.q is None else _rounded(one.q),
        sign_consistency=None if found is None else _rounded(found.consistency),
        status=_status(one, n_groups),
    )


def _status(one: Tested, n_groups: int) -> PatchStatus:
    if one.contrast is None or one.q is None or n_groups < LEAST_CONFIRM_GROUPS:
        return "unconfirmed"
    found = one.contrast
    if one.q > Q_LEVEL or found.difference == 0 or found.low <= 0 <= found.high:
        return "like_controls"
    return "carries" if found.difference * one.explore_share > 0 else "sign_reversed"


def _flags(mapped: Maps) -> Iterator[ReasonCode]:
    apart = mapped.difference
    if apart is not None and apart.low <= 0:
        text = (
            f"Clean and corrupt prompts differ by {apart.mean:.3g} [{apart.low:.3g}, {apart.high:.3g}] logits, which "
            "may be nothing, so shares of it mean nothing."
        )
        yield ReasonCode(code="no_difference", text=text)


def _caveats(request: PatchRequest, found: Found, n_groups: int) -> Iterator[str]:
    yield (
        "A share is of this patch alone, on these pairs and target words; shares of several places do not add up, and "
        "denoising finds what suffices, noising what is needed."
    )
    if n_groups < LEAST_CONFIRM_GROUPS:
        yield f"Only {n_groups} independent groups of pairs were held out, so no place is confirmed."
    if found.pairs.left_out:
        told = ", ".join(f"{n} for {reason}" for reason, n in found.pairs.left_out.items())
        yield f"Pairs were left out ({told}): patching needs two prompts that line up token by token."
    if found.pairs.kind == "roles":
        yield "Pairs differ in length or place, so tokens are taken together by role and a patch changes all of them."
    if "resid_pre" in request.components:
        yield "The stream holds everything that came before it: its map shows where and when, never what computes it."


def _map(grid: Grid, columns: Sequence[str]) -> PatchMapFigures:
    names = [str(i) for i in range(grid.share.shape[1])] if grid.component == "heads" else columns
    return PatchMapFigures(
        component=grid.component,
        way=grid.way,
        layers=tuple(range(len(grid.share))),
        columns=tuple(names),
        share=tuple(tuple(round(float(value), 4) for value in row) for row in grid.share),
    )


def _interval(low: float, high: float, method: str) -> Interval:
    return Interval(low=_rounded(low), high=_rounded(high), method=method)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
