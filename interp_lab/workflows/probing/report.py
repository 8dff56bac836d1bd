"""Puts a sweep into words and records, and publishes the report and the direction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from safetensors.numpy import save_file  # pyright: ignore[reportUnknownVariableType]  # PathLike without its argument

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.probe import Direction, ProbedColumn, ProbeReport, ProbeScore, TrainProbeRequest
from interp_lab.contracts.probe import TrainProbeResult as Result
from interp_lab.jobs.run import Run
from interp_lab.methods.probe.target import Task
from interp_lab.reports.probe import render_probe
from interp_lab.statistics.prediction_score import PredictionScore
from interp_lab.workflows.probing.design import Design
from interp_lab.workflows.probing.measure import TEXT_CONTROLS, BestColumn, Probed, Sweep
from interp_lab.workflows.querying.view import StoreView

REPORT_KIND = "probe_report"
DIRECTION_KIND = "direction"
COLUMNS = 16
"""Columns in the short form."""
ALPHA = 0.05

_UNITS: dict[Task, Literal["R²", "AUROC", "balanced accuracy"]] = {
    "regression": "R²",
    "binary": "AUROC",
    "multiclass": "balanced accuracy",
}


def assemble(
    request: TrainProbeRequest, view: StoreView, plan: Design, *, found: Sweep, measured: BestColumn, run: Run
) -> ProbeReport:
    """Return the report."""
    target, best = plan.examples.target, found.best
    rows = tuple(_row(column, p) for column, p in zip(found.columns, found.p_holm(), strict=True))
    row = rows[found.columns.index(best)]
    text_scores = [control.score for control in measured.controls if control.name in TEXT_CONTROLS]
    beats = best.confirm.low > max(text_scores, default=best.confirm.low - 1)
    report = ProbeReport(
        summary="",
        warnings=_warnings(plan, best, beats=beats),
        store=request.store,
        target=request.target,
        task=target.task,
        unit=_UNITS[target.task],
        classes=target.classes,
        pooling=request.pooling,
        counts=plan.counts(),
        best=row,
        p_value=best.confirm.p,
        beats_surface=beats,
        grade=measured.grading.grade if measured.grading else None,
        reasons=tuple(measured.grading.reasons) if measured.grading else (),
        controls=measured.controls,
        columns=rows,
        score_method=best.confirm.method,
        penalties={f"{penalty:g}": loss for penalty, loss in best.probe.losses.items()},
        model=view.store.manifest.model,
        seed=request.seed,
        job_id=run.job_id,
        code_version=run.code_version,
    )
    return report.model_copy(update={"summary": _summary(report)})


def publish(report: ProbeReport, found: Sweep, measured: BestColumn, *, view: StoreView, run: Run) -> None:
    """Write the report as JSON and Markdown, and the best column's probe as a direction."""
    title = f"{report.target} at {report.best.address}"
    with run.artifact(REPORT_KIND, f"Probe of {title}"[:200]) as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_probe(report))
        files.metrics |= {"score": report.best.confirm.value, "unit": report.unit}
        files.warnings += report.warnings
    with run.artifact(DIRECTION_KIND, f"Direction of {title}"[:200]) as files:
        files.write_json("direction.json", _direction(report, found.best, measured, view).model_dump(mode="json"))
        save_file(_tensors(found.best, measured), files.path("direction.safetensors"))
        files.warnings += report.warnings


def short_form(report: ProbeReport, actions: tuple[NextAction, ...]) -> Result:
    """Return what an agent reads first."""
    strongest = sorted(range(len(report.columns)), key=lambda place: -report.columns[place].explore)[:COLUMNS]
    left_out = len(report.columns) - len(strongest)
    more = (f"Only the {COLUMNS} strongest of {len(report.columns)} columns are listed; the report has all.",)
    fields = report.model_dump(include=set(Result.model_fields))
    return Result.model_validate(
        fields
        | {
            "columns": [report.columns[place] for place in sorted(strongest)],
            "warnings": (*report.warnings, *(more if left_out else ())),
            "agent_next_actions": actions,
        }
    )


def _row(column: Probed, p_holm: float) -> ProbedColumn:
    return ProbedColumn(
        address=column.key,
        explore=_rounded(column.explore.value),
        confirm=_probe_score(column.confirm),
        p_holm=p_holm,
        penalty=column.probe.penalty,
    )


def _probe_score(score: PredictionScore) -> ProbeScore:
    low, value, high = (_rounded(number) for number in (score.low, score.value, score.high))
    return ProbeScore(value=value, low=low, high=high, n_examples=score.n_rows, n_groups=score.n_groups)


def _rounded(value: float) -> float:
    return round(value, 4)


def _summary(report: ProbeReport) -> str:
    confirm, best = report.best.confirm, report.best
    interval = f"{confirm.value:.2f} [{confirm.low:.2f}, {confirm.high:.2f}], {confirm.n_groups} groups"
    if report.p_value > ALPHA:
        first = f"No column says {report.target} linearly beyond chance on held-out groups; best {best.address}, "
        first += f"{report.unit} {interval}."
    elif report.grade == "weak":
        first = (
            f"A linear probe of {report.target} at {best.address} scores {report.unit} {interval}, on held-out data, "
        )
        first += f"but the evidence is weak ({', '.join(report.reasons)}): no conclusion."
    else:
        first = (
            f"A linear probe at {best.address} reads {report.target} on held-out groups ({report.unit} {interval}); "
        )
        first += "the information is there, whether the model uses it is untested."
    if report.p_value <= ALPHA and not report.beats_surface:
        first += " Its interval does not lie above what the surface alone reaches."
    controls = ", ".join(f"{control.name} {control.score:.2f}" for control in report.controls)
    return f"{first}\nControls on the same examples: {controls}."


def _warnings(plan: Design, best: Probed, *, beats: bool) -> tuple[str, ...]:
    counts = plan.counts()
    lines: list[str] = []
    if not beats:
        lines.append(
            "The surface alone (length, position, words, tokens) may predict the target as well as the activations do."
        )
    if best.probe.at_edge:
        lines.append("The weakest regularisation was best; weaker ones were not tried.")
    if counts.groups[2] < 20:
        lines.append(f"Only {counts.groups[2]} independent groups confirm the score; its interval is wide.")
    if counts.left_out:
        lines.append(f"{counts.left_out} examples were left out: no usable target, or beyond max_examples.")
    return tuple(lines)


def _direction(report: ProbeReport, best: Probed, measured: BestColumn, view: StoreView) -> Direction:
    directions = best.probe.linear.directions
    outputs = report.classes if report.task == "multiclass" else (report.classes[1:] or (report.target,))
    return Direction(
        method=f"linear probe, {report.task}, standardised coordinates, quadratic penalty",
        address=best.key,
        space="activations" if view.column(best.key).kind == "dense" else "latents",
        width=directions.shape[0],
        outputs=outputs,
        norms=tuple(float(norm) for norm in np.linalg.norm(directions, axis=0)),
        projection_std=tuple(float(std) for std in measured.projection_std),
        activation_norm=measured.activation_norm,
        target=report.target,
        pooling=report.pooling,
        penalty=best.probe.penalty,
        confirm=report.best.confirm,
        unit=report.unit,
        controls=report.controls,
        grade=report.grade,
        reasons=report.reasons,
        model=report.model,
        store=report.store,
    )


def _tensors(best: Probed, measured: BestColumn) -> dict[str, np.ndarray]:
    linear = best.probe.linear
    tensors = {
        "directions": np.ascontiguousarray(linear.directions.T, dtype=np.float32),
        "intercepts": linear.intercepts.astype(np.float32),
    }
    if measured.mean_difference is not None:
        tensors["mean_difference"] = measured.mean_difference.astype(np.float32)
    return tensors
