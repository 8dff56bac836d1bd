"""The intervention report as a self-contained HTML page and as Markdown; both show the numbers of report.json."""

from __future__ import annotations

from interp_lab.contracts.intervene_report import EditCard, InterveneReport, UnitCard
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.plots import dose_plots, effect_volcano, forest
from interp_lab.reports.sheet import html_templates

_HEAD = (
    "| unit | edit | effect | control | beyond control (95 %) | q | same sign | on negatives (bound) | size |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def render_intervention(report: InterveneReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    return (
        html_templates()
        .get_template("intervention.html.j2")
        .render(
            report=report,
            level=Q_LEVEL,
            forest=forest(report, Q_LEVEL),
            volcano=effect_volcano(report, Q_LEVEL),
            doses=dose_plots(report),
        )
    )


def render_intervention_markdown(report: InterveneReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    behaviour = report.behaviour
    lines = ["# Intervention report", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += [
        "",
        f"Model {code_span(report.model.id)}, {report.dataset.n_prompts} prompts, {report.n_runs} edited runs.",
    ]
    lines += [
        f"Behaviour: {escaped(behaviour.metric)}{_of(behaviour.of)} in {escaped(behaviour.unit)}, "
        f"targets {_words(behaviour.targets)} against {_words(behaviour.alternatives)} ({behaviour.target_tokens})."
    ]
    lines += [f"- {escaped(flag.text)}" for flag in behaviour.flags]
    if (found := report.hypothesis) is not None:
        lines += ["", f"Registered beforehand: {escaped(found.statement)} **{escaped(found.verdict)}**, held to q ≤ "]
        lines[-1] += f"{chance(found.level)} after {found.earlier_looks} earlier looks."
    lines += [*_stopping(report), *_screen(report)]
    lines += ["", "## Effects", "", _HEAD, *(_row(unit, edit) for unit in report.units for edit in unit.edits)]
    lines += ["", "## Grades", "", *(_grade(unit) for unit in report.units)]
    lines += ["", "## Doses, on explore prompts", "", *(_doses(u, e) for u in report.units for e in u.edits)]
    return "\n".join(lines) + "\n"


def _stopping(report: InterveneReport) -> list[str]:
    if (found := report.stopping) is None:
        return []
    return [
        "",
        f"Confirming stopped after look {found.n_looks} of {len(found.planned)} with {found.n_groups} groups: the "
        f"widest interval reaches {short(found.widest)} to each side, asked were {short(found.target)}. Each interval "
        f"has level {percent(found.interval_level)}, so that all looks together have 95 % ({escaped(found.method)}).",
    ]


def _screen(report: InterveneReport) -> list[str]:
    if (screen := report.screen) is None:
        return []
    lines = ["", f"A linear estimate chose among {screen.n_units} units of {escaped(screen.of)}. How far it is off:"]
    for name, error in (("chosen for their estimate", screen.chosen), ("drawn at random", screen.sample)):
        r, off = error.correlation, error.relative_error
        lines.append(
            f"- {error.n_units} {name}: correlation with exact effects {'–' if r is None else short(r)}, "
            f"relative error {'–' if off is None else percent(off)}"
        )
    if screen.recall is not None:
        ends = screen.recall_interval
        interval = "" if ends is None else f" [{short(ends.low)}, {short(ends.high)}]"
        lines.append(f"- of the units with the largest exact effects about {short(screen.recall)}{interval} are chosen")
    return lines


def _row(unit: UnitCard, edit: EditCard) -> str:
    found = edit.confirm or edit.explore
    side, interval = edit.side_effects, found.difference_interval
    part = "" if edit.confirm else " (explore only)"
    return (
        f"| {escaped(unit.unit)} | {escaped(edit.edit)} × {short(edit.strength)}{part} | {short(found.effect)} "
        f"| {short(found.control)} | [{short(interval.low)}, {short(interval.high)}] | {chance(found.q_value)} "
        f"| {percent(found.sign_consistency)} | {short(side.shift_upper)} ({short(side.bound)}) "
        f"| {percent(edit.relative_size)} |"
    )


def _grade(unit: UnitCard) -> str:
    reasons = "; ".join(escaped(reason.text) for reason in unit.reasons)
    return f"- {escaped(unit.unit)}: **{escaped(unit.grade)}**. {reasons}"


def _doses(unit: UnitCard, edit: EditCard) -> str:
    points = ", ".join(f"{short(p.strength)} → {short(p.effect)}" for p in edit.doses)
    return f"- {escaped(unit.unit)}, {escaped(edit.edit)}: {escaped(points)}"


def _of(name: str | None) -> str:
    return f" of {escaped(name)}" if name else ""


def _words(texts: tuple[str, ...]) -> str:
    return ", ".join(code_span(text) for text in texts)
