"""The steer report as a self-contained HTML page with its curves, and as Markdown; both show report.json."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.steer import Arm, SteerReport
from interp_lab.reports import curves
from interp_lab.reports.curves import Panel, panel
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import chance, fixed, percent, short
from interp_lab.reports.sheet import html_templates
from interp_lab.reports.sheet_tables import Table, table_lines

NAMES = ("steered", "random direction")


def render_steering(report: SteerReport) -> str:
    """Return a complete HTML document."""
    template = html_templates().get_template("steering.html.j2")
    return template.render(report=report, panels=list(panels(report)), names=NAMES, curves=curves)


def render_steering_markdown(report: SteerReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines = ["# Steering", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += ["", f"Targets: {', '.join(code_span(word) for word in report.targets)}."]
    lines += table_lines(tables(report))
    lines += ["", "## Samples", ""]
    for sample in report.samples:
        lines += [f"- {code_span(sample.prompt)}", f"  - plain: {code_span(sample.plain)}"]
        lines += [f"  - steered: {code_span(sample.steered)}", f"  - instruction: {code_span(sample.instruction)}"]
    return "\n".join(lines) + "\n"


def tables(report: SteerReport) -> tuple[Table, ...]:
    """Return every table of the report."""
    found = (_confirm(report), _comparison(report), _doses(report))
    return tuple(table for table in found if table.rows)


def panels(report: SteerReport) -> Iterator[Panel]:
    """Yield gain, perplexity and repetition against strength."""
    for title, field in (("gain", "gain"), ("perplexity ratio", "perplexity_ratio"), ("repetition", "repetition")):
        lines = {
            shown: [(arm.strength, float(getattr(arm, field))) for arm in report.doses if arm.name == name]
            for name, shown in zip(("steered", "random_direction"), NAMES, strict=True)
        }
        found = panel(title, lines)
        if found is not None:
            yield found


def _confirm(report: SteerReport) -> Table:
    note = f"On {report.n_prompts[1]} held-out prompts in {report.n_groups} groups, at strength {report.strength:g}."
    return Table("arms", "Held-out prompts", note, _HEAD, tuple(_row(arm) for arm in report.arms))


def _comparison(report: SteerReport) -> Table:
    found = report.beyond
    rows: tuple[tuple[str, ...], ...] = ()
    if found is not None:
        own, other = found.difference_interval, found.over_instruction_interval
        rows = (
            ("random directions", short(found.difference) if found.difference else "does not exceed them",
             f"[{short(own.low)}, {short(own.high)}]", f"p {chance(found.p_value)}" if found.difference else ""),
            ("instruction", short(found.over_instruction), f"[{short(other.low)}, {short(other.high)}]", ""),
        )  # fmt: skip
    head = ("steered less", "difference", "95 %", "")
    return Table("beyond", "Beyond controls and beside an instruction", "Prompt by prompt.", head, rows)


def _doses(report: SteerReport) -> Table:
    told = [f"On {report.n_prompts[0]} explore prompts; one unit is {short(report.residual_norm)}."]
    if report.saturates_at is not None:
        told.append(f"Saturates at {report.saturates_at:g}.")
    if report.breaks_at is not None:
        told.append(f"Text breaks at {report.breaks_at:g}.")
    return Table("doses", "Strengths", " ".join(told), _HEAD, tuple(_row(arm) for arm in report.doses))


_HEAD = ("arm", "strength", "score", "gain [95 %]", "perplexity ratio", "KL of first token", "repetition")


def _row(arm: Arm) -> tuple[str, ...]:
    interval = arm.gain_interval
    return (
        arm.name.replace("_", " "),
        f"{arm.strength:g}",
        fixed(arm.score),
        f"{fixed(arm.gain)} [{fixed(interval.low)}, {fixed(interval.high)}]",
        short(arm.perplexity_ratio),
        short(arm.kl),
        percent(arm.repetition),
    )
