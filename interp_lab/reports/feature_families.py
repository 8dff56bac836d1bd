"""The table of shared and private features as a self-contained HTML page and as Markdown; both show report.json."""

from __future__ import annotations

from interp_lab.contracts.feature_families import FamiliesReport, FamilyUnit, FeatureFamily
from interp_lab.reports.markdown import MarkdownText, code_span, escaped
from interp_lab.reports.numbers import chance
from interp_lab.reports.sheet import html_templates


def render_families(report: FamiliesReport, code_version: str) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    return (
        html_templates()
        .get_template("feature_families.html.j2")
        .render(report=report, own=_own, words={"matched": "matched", "not_tested": "through others",
                "tested_and_not_matched": "did not match"}, code_version=code_version)
    )  # fmt: skip


def render_families_markdown(report: FamiliesReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines = ["# Feature families", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    head = " | ".join(code_span(model) for model in report.models)
    lines += ["", f"| {head} | weakest q | grade |", "|" + "---|" * (len(report.models) + 2)]
    for family in report.families:
        cells = " | ".join(" ".join(_unit(unit) for unit in _own(family, model)) for model in report.models)
        lines.append(f"| {cells} | {chance(family.weakest_q)} | {family.grade} |")
    lines += ["", "## Matched none", ""]
    for one in report.lone:
        tried = ", ".join(code_span(model) for model in one.tested_against)
        lines.append(
            f"- {code_span(one.unit.model)} {_unit(one.unit)}: tested against {tried}, closest q "
            f"{chance(one.closest_q)}"
        )
    return "\n".join(lines) + "\n"


def _own(family: FeatureFamily, model: str) -> tuple[FamilyUnit, ...]:
    """Return the members of a family that are of one model."""
    return tuple(unit for unit in family.members if unit.model == model)


def _unit(unit: FamilyUnit) -> MarkdownText:
    return code_span(f"{unit.address} #{unit.index}")
