"""calibrate: is this lab right, today, on this machine; measured on models whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.calibrate import CalibratePlan, CalibrateRequest, CalibrateResult
from interp_lab.contracts.calibration_report import CalibrationReport
from interp_lab.workflows.calibrating.sweep import draws, settings_of, worlds_per_setting
from interp_lab_tools.capability import Effects, JobCapability, Plan
from interp_lab_tools.lab import Lab
from interp_lab_tools.slots import slot_for

if TYPE_CHECKING:
    from interp_lab.jobs.run import Run


def _plan(request: CalibrateRequest, lab: Lab) -> Plan:
    drawn = tuple(draws(request))
    settings = tuple(f"{each.axis} {each.value}".strip() for each in settings_of(request.size))
    seeds = f"{drawn[0].seed}-{drawn[-1].seed}"
    plan = CalibratePlan(
        settings=settings, worlds_per_setting=worlds_per_setting(request), n_worlds=len(drawn), seeds=seeds
    )
    return Plan(
        summary=f"{len(drawn)} small models in {len(settings)} settings, seeds {seeds}; each a few seconds.",
        details=plan.model_dump(mode="json"),
        label=f"calibration on seeds {seeds}",
        slot=slot_for("cpu", lab.settings),
    )


def _handle(request: CalibrateRequest, run: Run) -> CalibrateResult:
    from interp_lab.workflows.calibrate import calibrate  # lazy: the workflow imports torch, and only the worker may

    return calibrate(request, run, suggest=lambda report: suggest(request, report))


def suggest(request: CalibrateRequest, report: CalibrationReport) -> tuple[NextAction, ...]:
    """Return the call that would decide what is open, or show where grading breaks."""
    if request.size == "whole":
        why = "Nothing is left to calibrate; see what this lab holds for a question of yours."
        return (NextAction(tool="lab_overview", arguments={}, why=why),)
    arguments: dict[str, JsonValue] = {"size": "whole", "first_seed": request.first_seed}
    why = "The whole sweep shows where grading breaks."
    if report.verdict in ("overclaims", "misses"):
        why = "Something does not hold; the whole sweep shows under which conditions."
    elif request.size == "small":
        arguments = {"size": "held", "first_seed": request.first_seed}
        why = "More models of the settings that must hold narrow the intervals."
    return (NextAction(tool="calibrate", arguments=arguments, why=why),)


CALIBRATE = JobCapability(
    name="calibrate",
    title="Measure whether this lab is right, on models whose truth is known",
    guidance=(
        "Ask before trusting grades, after an upgrade, or on a new machine. Makes small models with planted causes "
        "and decoys (equally correlated but inert, confounded, redundant, echoes, impostors, suppressors), runs the "
        "real pipeline on them blind (inspect, intervene, grade, joint ablation), and only then opens the key. "
        "verdict 'as_stated': every bar is met by its whole interval; 'undecided': the models are too few to tell, as "
        "in most small runs; 'overclaims': do not trust a validated grade; 'misses': real causes are not found. size "
        "'small' takes about a minute, 'held' narrows the intervals, 'whole' gives the curves. Shows how "
        "grading behaves on planted truth, not that a claim about your model is true. Runs as a job: call job_wait. "
        "The artifact has report.md, report.html, report.json and worlds.jsonl, one line per model."
    ),
    request=CalibrateRequest,
    result=CalibrateResult,
    plan=_plan,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="evidence",
    changes="No grade; how often each grade is right on this machine.",
    example={"size": "small"},
)
