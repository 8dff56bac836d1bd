"""The words of a model diff, its files, and its short form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from interp_lab.contracts.diff_models import DIFF_KIND, DiffModelsResult, ModelDiffReport
from interp_lab.jobs.run import Run
from interp_lab.reports.model_diff import render_model_diff, render_model_diff_markdown

_SHOWN = 12
_ALWAYS = ("kept", "weakened", "lost", "new")
"""Verdicts whose number is always said: that nothing was lost is what is asked."""
_VERDICTS = ("kept", "weakened", "strengthened", "lost", "new", "unclear")


def headline(report: ModelDiffReport, n_changed: int) -> str:
    """Return one sentence that is true when quoted alone."""
    names = " and ".join(_names(report))
    if report.quantise is not None:
        names = f"{report.base.id} and {report.changed.id} with its linear weights rounded to 8 bits"
    elif report.base.id == report.changed.id:
        names = f"{report.base.id} in {report.base.dtype} and in {report.changed.dtype}"
    moved = [shift for shift in report.shifts if shift.relative > 0]
    if not n_changed and not moved:
        return f"{names} have the same weights and the same activations on these prompts: nothing changed."
    counts = Counter(unit.verdict for unit in report.units)
    said = (f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict] or verdict in _ALWAYS)
    told = ", ".join(said) if report.units else "none judged"
    most = max(moved, key=lambda shift: shift.relative, default=None)
    where = (
        ""
        if most is None
        else f"; activations differ most at {most.address}, {most.relative:.2g} of the base's variance"
        f" ({most.first:.0%} along one direction)"
    )
    return (
        f"{n_changed} of {report.n_weights} weights of {names} differ{where}; of {len(report.units)} units chosen on "
        f"explore prompts for “{report.criterion}”, on confirm prompts: {told}{_exclusive(report)}. Associations only."
    )


def _names(report: ModelDiffReport) -> tuple[str, str]:
    """Return base and changed version by name; where that is one name, with what tells the two apart."""
    base, changed = report.base.id, report.changed.id
    if report.quantise is not None:
        return base, f"{changed} (int8 weights)"
    if base == changed and report.base.dtype != report.changed.dtype:
        return f"{base} ({report.base.dtype})", f"{changed} ({report.changed.dtype})"
    return base, changed


def _exclusive(report: ModelDiffReport) -> str:
    """Return what a crosscoder says of latents of one model, if one was given: that there is none is a finding too."""
    if report.n_exclusive is None or report.n_artefacts is None:
        return ""
    real = report.n_exclusive - report.n_artefacts
    looks = "looks" if report.n_exclusive < 2 else "look"
    held = f", {real or 'none'} of them beyond artefacts of training" if report.n_exclusive else ""
    return (
        f"; of {report.n_crosscoder_latents} crosscoder latents that fire {report.n_exclusive or 'none'} {looks} "
        f"exclusive to one model{held}"
    )


def caveats_of(report: ModelDiffReport) -> tuple[str, ...]:
    """Return what a careful reader must know."""
    return tuple(_caveats(report))


def _caveats(report: ModelDiffReport) -> Iterator[str]:
    if not report.n_confirm:
        yield "There were too few prompt groups to confirm anything: no unit was judged."
    yield "What became of a unit is said of its association; whether it still does something needs an intervention."
    yield "Units are the same by place: a feature that moved to other coordinates counts as lost here and new there."
    if report.n_artefacts:
        yield (
            f"{report.n_artefacts} of {report.n_exclusive} latents that look exclusive by their decoders are in the "
            "other model too: artefacts of training."
        )


def publish(report: ModelDiffReport, run: Run) -> None:
    """Write the report as JSON, Markdown and HTML."""
    with run.artifact(DIFF_KIND, f"{' and '.join(_names(report))}: {report.criterion[:80]}") as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_model_diff_markdown(report))
        files.write_text("report.html", render_model_diff(report))
        files.metrics |= {"n_changed_weights": len(report.weights), "n_units": len(report.units)}
        files.warnings += report.caveats


def short_form(report: ModelDiffReport, n_changed: int) -> DiffModelsResult:
    """Return what an agent reads first."""
    base, changed = _names(report)
    return DiffModelsResult(
        summary=report.headline,
        warnings=report.caveats,
        agent_next_actions=report.agent_next_actions,
        base=base,
        changed=changed,
        n_changed_weights=n_changed,
        weights=report.weights[:_SHOWN],
        shifts=report.shifts,
        verdicts=dict(Counter(unit.verdict for unit in report.units)),
        units=report.units[:_SHOWN],
        exclusive=report.exclusive[:_SHOWN],
    )
