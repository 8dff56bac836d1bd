"""The comparison report as a self-contained HTML page and as Markdown; both show the numbers of report.json."""

from __future__ import annotations

from interp_lab.contracts.compare import ComparedUnit, ComparisonReport, Match, Transfer
from interp_lab.reports.markdown import MarkdownText, code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.sheet import html_templates

_HEAD = "| left | right | r (95 %) | q | direction | words | effects | grade |\n|---|---|---|---|---|---|---|---|"


def render_comparison(report: ComparisonReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    return html_templates().get_template("comparison.html.j2").render(report=report, shared_words=_shared)


def render_comparison_markdown(report: ComparisonReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines = ["# Comparison", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += [
        "",
        f"{code_span(report.left.id)} beside {code_span(report.right.id)} on {escaped(report.dataset)}: "
        f"{report.n_explore} prompts chose pairs, {report.n_confirm} in {report.n_groups} groups tested them.",
        "",
        _HEAD,
        *(_row(match) for match in report.matches),
    ]
    for match in report.matches:
        if match.transfer is not None:
            lines.append(f"\n{_carried(match, match.transfer)}")
    for place in report.maps:
        lines.append(
            f"\nMap {code_span(place.left)} → {code_span(place.right)}: held-out R² {short(place.held_out_r2)}."
        )
    return "\n".join(lines) + "\n"


def _carried(match: Match, carried: Transfer) -> str:
    low, high = carried.interval
    return (
        f"{_unit(match.left)} carried to the right model: r {short(carried.similarity)} [{short(low)}, {short(high)}], "
        f"p {chance(carried.p_value)}, beside {carried.n_controls} random directions that reach "
        f"{short(carried.control)} on average and {short(carried.closest_control)} at best."
    )


def _row(match: Match) -> str:
    low, high = match.interval
    direction = "" if match.direction_cosine is None else short(match.direction_cosine)
    words = "" if match.promoted_overlap is None else percent(match.promoted_overlap)
    effects = {None: "", True: "agree", False: "disagree"}[match.effect_agrees]
    return (
        f"| {_unit(match.left)} | {_unit(match.right)} | {short(match.similarity)} [{short(low)}, {short(high)}] "
        f"| {chance(match.q_value)} | {direction} | {words} | {effects} | {match.grade} |"
    )


def _unit(unit: ComparedUnit) -> MarkdownText:
    return code_span(f"{unit.address} #{unit.index}")


def _shared(match: Match) -> frozenset[str]:
    """Return the words that both units promote, spaces and case apart."""
    ours, theirs = ({word.strip().lower() for word in unit.promoted} for unit in (match.left, match.right))
    return frozenset(ours & theirs) - {""}
