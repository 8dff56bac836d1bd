"""compare_runs: two reports of one question, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.run_comparison import CompareRunsRequest, CompareRunsResult
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab

if TYPE_CHECKING:
    from interp_lab.workflows.compare_runs import Comparison

_CHANGES_SHOWN = 30


def _handle(request: CompareRunsRequest, lab: Lab) -> CompareRunsResult:
    from interp_lab.workflows.compare_runs import beyond_uncertainty, compare_runs  # lazy: numpy, only when asked

    found = compare_runs(request, lab.settings)
    grades = sum(row.left_grade != row.right_grade for row in found.units)
    beyond = sum(map(beyond_uncertainty, found.units))
    return CompareRunsResult(
        summary=_in_words(found, grades, beyond),
        warnings=_warnings(found),
        agent_next_actions=_next(found),
        kind="inspect" if found.left.manifest.kind == "inspect_report" else "intervene",
        same_question=found.same_question,
        changed=found.changed[:_CHANGES_SHOWN],
        agreement=found.agreement,
        n_grade_changes=grades,
        n_beyond_uncertainty=beyond,
        n_left_only=found.n_left_only,
        n_right_only=found.n_right_only,
        units=found.units[: request.limit],
    )


def _in_words(found: Comparison, grades: int, beyond: int) -> str:
    agreement = found.agreement
    ranks = (
        "nothing ranked in both"
        if agreement.spearman is None
        else f"rank correlation {agreement.spearman:.2f} over {agreement.n_shared} ({agreement.over})"
    )
    what = ", ".join(change.what for change in found.changed[:4]) or "nothing in the inputs"
    more = f" and {len(found.changed) - 4} more" if len(found.changed) > 4 else ""
    return (
        f"{ranks[0].upper()}{ranks[1:]}; {grades} of {len(found.units)} shared units have another grade, {beyond} "
        f"differ by more than their uncertainty, where one in twenty would by chance. Changed: {what}{more}."
    )


def _warnings(found: Comparison) -> tuple[str, ...]:
    lines: list[str] = []
    if not found.same_question:
        lines.append("The two reports answer different questions: differences are of questions, not of runs.")
    if len(found.changed) > 1:
        lines.append("Several inputs changed at once, so no difference can be put down to one of them.")
    if not any(change.what == "prompts" for change in found.changed):
        lines.append("Both rest on the same prompts; intervals of differences are wider than they need be.")
    return tuple(lines)


def _next(found: Comparison) -> tuple[NextAction, ...]:
    report = found.right.report
    arguments = {"model": report.model.id, "criterion": report.criterion}
    return (NextAction(tool="dossier", arguments=dict(arguments), why="See both among all runs of the question."),)


COMPARE_RUNS = InlineCapability(
    name="compare_runs",
    title="Compare two reports of one question",
    guidance=(
        "Give two inspect reports or two intervene reports. Says what differs in the inputs (weights, prompts, seed, "
        "code, packages, dictionaries, settings), how far the rankings agree (over every coordinate that both tested, "
        "where kept), which grades changed, and the difference of each shared unit with an interval. Refuses reports "
        "of another model or criterion unless told. For what all runs say together call dossier. It explains no "
        "difference: where several inputs changed, none can be blamed."
    ),
    request=CompareRunsRequest,
    result=CompareRunsResult,
    handler=_handle,
    effects=Effects(read_only=True),
    toolset="evidence",
    changes="No grade; how far two runs agree.",
    example={"left": "0" * 64, "right": "1" * 64},
)
