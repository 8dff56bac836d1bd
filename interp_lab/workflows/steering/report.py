# pyright: standard
"""Assembles the report of a steer run, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.inspect_report import RunFacts
from interp_lab.contracts.steer import STEER_KIND, Arm, Sample, SteerReport, SteerRequest, SteerResult
from interp_lab.evidence.grade import Grading
from interp_lab.jobs.run import Run, package_versions
from interp_lab.reports.steering import render_steering, render_steering_markdown
from interp_lab.workflows.inspection.inputs import Inputs, model_facts
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.behaviour import words
from interp_lab.workflows.report_facts import dataset_facts
from interp_lab.workflows.steering.arms import Desk
from interp_lab.workflows.steering.files import Saved
from interp_lab.workflows.steering.measure import Confirmed, Explored, Half, arm, beyond, breaks_at, saturates_at

Suggest = Callable[[SteerReport], tuple[NextAction, ...]]
N_SAMPLES, PROMPT_END, TEXT = 6, 160, 300
"""Samples in the report, and characters of each of their parts."""
_UNITS = {
    "target_share": "share of target words",
    "target_any": "texts with a target word",
    "target_logit": "logit difference",
}


def assemble(
    request: SteerRequest,
    inputs: Inputs,
    plan: Design,
    *,
    desk: Desk,
    saved: Saved,
    halves: tuple[Half, Half],
    found: tuple[Explored, Confirmed | None],
    grading: Grading,
) -> SteerReport:
    """Return the report, without headline, caveats, next actions and facts of the run."""
    explored, confirmed = found
    return SteerReport(
        criterion=request.criterion,
        headline="",
        model=model_facts(inputs.loaded),
        dataset=dataset_facts(inputs, plan),
        vector=request.vector,
        direction_sha256=saved.digest,
        address=str(saved.address),
        residual_norm=desk.norm,
        scorer=request.scorer,
        targets=words(inputs.loaded, desk.targets),
        alternatives=words(inputs.loaded, desk.alternatives),
        instruction=desk.instruction,
        doses=tuple(_doses(explored, halves[0])),
        strength=explored.strength,
        within_bound=explored.within_bound,
        saturates_at=saturates_at(explored),
        breaks_at=breaks_at(explored, request.perplexity_bound),
        arms=() if confirmed is None else tuple(_arms(confirmed, halves[1])),
        beyond=None if confirmed is None else beyond(confirmed, halves[1].groups),
        n_prompts=(len(halves[0].prompts), len(halves[1].prompts) if confirmed else 0),
        n_groups=len(set(halves[1].groups.tolist())) if confirmed else 0,
        grade=grading.grade,
        reasons=tuple(grading.reasons),
        samples=tuple(_samples(inputs, halves, found)),
        caveats=(),
        agent_next_actions=(),
        run=_run_facts(request, inputs),
    )


def finished(report: SteerReport, *, caveats: tuple[str, ...], suggest: Suggest, run: Run) -> SteerReport:
    """Return the report with what is said about it."""
    facts = report.run.model_copy(
        update={
            "job_id": run.job_id,
            "code_version": run.code_version,
            "started_at": run.started,
            "seconds": round((datetime.now(UTC) - run.started).total_seconds(), 2),
        }
    )
    told = report.model_copy(update={"headline": headline(report), "caveats": caveats, "run": facts})
    return told.model_copy(update={"agent_next_actions": suggest(told)})


def publish(report: SteerReport, records: Sequence[str], run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and every steered text's score as a record, if there are any."""
    with run.artifact(
        STEER_KIND, f"Steering towards {report.criterion[:120].rstrip('.')} in {report.model.id}"[:200]
    ) as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_steering_markdown(report))
        files.write_text("report.html", render_steering(report))
        if records:
            files.write_text("interventions.jsonl", "".join(f"{line}\n" for line in records))
        files.metrics |= {"grade": report.grade, "strength": report.strength}
        files.warnings += report.caveats


def short_form(report: SteerReport) -> SteerResult:
    """Return what an agent reads first."""
    told = [report.headline]
    if report.breaks_at is not None:
        told.append(f"Text breaks (perplexity beyond the bound) from strength {report.breaks_at:g} on.")
    return SteerResult(
        summary="\n".join(told),
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        criterion=report.criterion,
        address=report.address,
        strength=report.strength,
        grade=report.grade,
        reasons=report.reasons,
        arms=report.arms,
        beyond=report.beyond,
        saturates_at=report.saturates_at,
        breaks_at=report.breaks_at,
        samples=report.samples[:2],
    )


def headline(report: SteerReport) -> str:
    """Return one sentence that is true when quoted alone."""
    unit = _UNITS[report.scorer]
    found = report.beyond
    if found is None:
        return f"Too few held-out prompts to say whether {report.vector[:16]} steers towards '{report.criterion}'."
    if report.targets_unseen:
        return (
            f"Whether the direction at {report.address} steers towards '{report.criterion}' was not tested: at "
            f"strength {report.strength:g} none of the target words is in any text of {report.n_groups} held-out "
            f"groups, plain, steered or instructed; graded {report.grade}."
        )
    low, high = found.difference_interval.low, found.difference_interval.high
    over, inst = found.over_instruction, found.over_instruction_interval
    beside = f"less than an instruction in the prompt by {-over:.3g} [{-inst.high:.3g}, {-inst.low:.3g}]"
    if inst.low > 0:
        beside = f"more than an instruction in the prompt by {over:.3g} [{inst.low:.3g}, {inst.high:.3g}]"
    elif inst.high >= 0:
        beside = f"not told apart from an instruction in the prompt ({over:+.3g} [{inst.low:.3g}, {inst.high:.3g}])"
    effect = (
        f"changes the {unit} by {found.gain:.3g}, beyond random directions of equal length by [{low:.3g}, {high:.3g}]"
    )
    if low <= 0 <= high:
        effect = (
            f"changes the {unit} by {found.gain:.3g}, not told apart from random directions of equal length "
            f"(difference [{low:.3g}, {high:.3g}])"
        )
    return (
        f"At strength {report.strength:g} the direction at {report.address} {effect}, on {report.n_groups} held-out "
        f"groups; {beside}; graded {report.grade}."
    )


def _doses(found: Explored, half: Half) -> Iterator[Arm]:
    for one, chance in zip(found.steered, found.random, strict=True):
        yield arm([one], found.plain, half.groups)
        yield arm([chance], found.plain, half.groups)


def _arms(found: Confirmed, half: Half) -> Iterator[Arm]:
    for written in ([found.plain], [found.steered], [found.opposite], list(found.random), [found.instruction]):
        yield arm(written, found.plain, half.groups)


def _samples(inputs: Inputs, halves: tuple[Half, Half], found: tuple[Explored, Confirmed | None]) -> Iterator[Sample]:
    explored, confirmed = found
    half = halves[1] if confirmed else halves[0]
    plain = (confirmed or explored).plain
    steered = confirmed.steered if confirmed else explored.steered[explored.best]
    decode = inputs.loaded.tokenizer.decode
    for place, prompt in enumerate(half.prompts[:N_SAMPLES]):
        instructed = confirmed.instruction.texts[place] if confirmed else ()
        yield Sample(
            prompt=prompt.text[-PROMPT_END:],
            plain=str(decode(list(plain.texts[place])))[:TEXT],
            steered=str(decode(list(steered.texts[place])))[:TEXT],
            instruction=str(decode(list(instructed)))[:TEXT],
        )


def _run_facts(request: SteerRequest, inputs: Inputs) -> RunFacts:
    return RunFacts(
        job_id=None,
        code_version="",
        packages=package_versions(),
        seed=request.seed,
        started_at=datetime.now(UTC),
        seconds=0.0,
        checks={row.point: row.status for row in inputs.checks.rows},
    )
