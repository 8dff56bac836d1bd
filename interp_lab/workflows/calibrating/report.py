# pyright: standard
"""Assembles the report of a calibration, publishes it in every form, and gives its short form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.calibrate import Bar, CalibrateRequest, CalibrateResult, Share, Verdict
from interp_lab.contracts.calibration_report import CalibrationReport, CurvePoint, WorldScore
from interp_lab.contracts.inspect_report import RunFacts
from interp_lab.jobs.run import Run, package_versions
from interp_lab.methods.calibration import bars, curve_point, judge, missed_because, summarise_decoys, summarise_grades
from interp_lab.reports.calibration import render_calibration, render_calibration_markdown

KIND = "calibration_report"
Suggest = Callable[[CalibrationReport], tuple[NextAction, ...]]
_JUDGED: Mapping[Verdict, str] = {
    "as_stated": "The lab is as right as it says on models whose truth is known",
    "overclaims": "DO NOT TRUST THIS LAB: it calls causes what are none, or gives them the wrong sign",
    "misses": "The lab is not seen to claim too much here, but misses what is plain to see",
}


def assemble(request: CalibrateRequest, worlds: Sequence[WorldScore], *, run: Run) -> CalibrationReport:
    """Return the report, without next actions."""
    found = bars(worlds)
    seeds = (min(w.seed for w in worlds), max(w.seed for w in worlds))
    return CalibrationReport(
        headline=headline(judge(found), found, len(worlds)),
        verdict=judge(found),
        bars=found,
        grades=summarise_grades(worlds),
        decoys=summarise_decoys(worlds),
        curve=curve(worlds),
        missed=missed_because(worlds),
        seeds=seeds,
        n_worlds=len(worlds),
        seconds=round(sum(w.seconds for w in worlds), 2),
        caveats=tuple(caveats(request)),
        agent_next_actions=(),
        run=RunFacts(
            job_id=run.job_id,
            code_version=run.code_version,
            packages=package_versions(),
            seed=request.seed,
            started_at=run.started,
            seconds=round((datetime.now(UTC) - run.started).total_seconds(), 2),
            checks={},
        ),
    )


def curve(worlds: Sequence[WorldScore]) -> tuple[CurvePoint, ...]:
    """Return one point per setting, in the order of the sweep."""
    by_setting: dict[tuple[str, str], list[WorldScore]] = {}
    for world in worlds:
        by_setting.setdefault((world.axis, world.value), []).append(world)
    return tuple(curve_point(each) for each in by_setting.values())


def headline(verdict: Verdict, found: Sequence[Bar], n_worlds: int) -> str:
    """Return one sentence that is true when quoted alone."""
    told = "; ".join(f"{bar.name.replace('_', ' ')} {in_words(bar.found)}" for bar in found)
    judged = _JUDGED.get(verdict) or _undecided(found)
    return f"{judged} ({n_worlds} models with planted causes, small beside real ones): {told}."


def _undecided(found: Sequence[Bar]) -> str:
    """Say what these models leave open."""
    missed = [bar.name.replace("_", " ") for bar in found if not bar.holds]
    if missed:
        return f"Undecided: {', '.join(missed)} as found would miss the bar, which lies within the interval"
    open_ = [bar.name.replace("_", " ") for bar in found if bar.state == "undecided"]
    return f"Nothing here speaks against this lab, but there are too few models to show {', '.join(open_)}"


def caveats(request: CalibrateRequest) -> list[str]:
    """Return what a careful reader must know."""
    found = [
        "The models are small and their causes are planted directions, handed out as latents among bystanders: how "
        "well a dictionary finds directions in a real model is another question.",
        "Bars apply to the settings that are not meant to break; the curve shows the others.",
        "A latent that can be replaced by another does nothing alone and counts as no cause by itself.",
    ]
    if request.first_seed < 1000:
        found.append("These seeds are for development; figures to report come from seeds 1000 to 1999.")
    if request.size == "small":
        found.append("A small run: its intervals are wide, so it notices what is badly wrong, not what is slightly so.")
    return found


def publish(report: CalibrationReport, worlds: Sequence[WorldScore], run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and every model's score."""
    with run.artifact(KIND, f"calibration on seeds {report.seeds[0]}-{report.seeds[1]}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_calibration_markdown(report))
        files.write_text("report.html", render_calibration(report))
        files.write_text("worlds.jsonl", "".join(f"{world.model_dump_json()}\n" for world in worlds))
        files.metrics |= {"verdict": report.verdict, "n_worlds": report.n_worlds}
        files.warnings += report.caveats


def short_form(report: CalibrationReport) -> CalibrateResult:
    """Return what an agent reads first."""
    grades = "; ".join(f"{row.grade} {in_words(row.causal)}" for row in report.grades if row.causal is not None)
    return CalibrateResult(
        summary=f"{report.headline}\nProbability of being a cause: {grades}.",
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        verdict=report.verdict,
        bars=report.bars,
        grades=report.grades,
        n_worlds=report.n_worlds,
        first_seed=report.seeds[0],
        seconds=report.seconds,
    )


def in_words(found: Share | None) -> str:
    """Return a share with its interval and its sample."""
    if found is None:
        return "not seen"
    return f"{found.share:.3g} [{found.low:.3g}, {found.high:.3g}] of {found.n}"
