"""The report of a model diff as a self-contained HTML page and as Markdown; both show the numbers of report.json."""

from __future__ import annotations

from collections import Counter

from interp_lab.contracts.diff_models import ModelDiffReport, Verdict
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import percent, short
from interp_lab.reports.sheet import html_templates

_SHOWN_WEIGHTS = 40
_LEAST_REACH = 0.1
"""Change of AUROC to which the drawings reach at least, so that rounding does not look like a change."""
_MEANS: dict[Verdict, str] = {
    "kept": "certain in one of the models, no change that counts",
    "weakened": "certain in both, less in the changed",
    "lost": "certain in the base only",
    "strengthened": "certain in both, more in the changed",
    "new": "certain in the changed model only",
    "unclear": "certain in neither",
}


def render_model_diff(report: ModelDiffReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    counts = Counter(unit.verdict for unit in report.units)
    return (
        html_templates()
        .get_template("model_diff.html.j2")
        .render(
            report=report,
            verdicts=[(verdict, counts[verdict]) for verdict in _MEANS],
            told=_MEANS,
            shown=_SHOWN_WEIGHTS,
            reach=max([_LEAST_REACH, *(abs(end) for unit in report.units for end in unit.interval)]),
        )
    )


def render_model_diff_markdown(report: ModelDiffReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines = ["# Model diff", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += ["", "| unit | base AUROC | changed AUROC | difference | verdict |", "|---|---|---|---|---|"]
    for unit in report.units:
        low, high = unit.interval
        name = code_span(f"{unit.address} #{unit.index}")
        told = f"{short(unit.difference)} [{short(low)}, {short(high)}]"
        mark = " (validated in the base)" if unit.validated else ""
        lines.append(
            f"| {name}{mark} | {short(unit.base_auroc)} | {short(unit.changed_auroc)} | {told} | {unit.verdict} |"
        )
    lines += ["", "| address | difference, of the base's variance | along one direction | directions for 90 % |"]
    lines += ["|---|---|---|---|"]
    for shift in report.shifts:
        lines.append(
            f"| {code_span(shift.address)} | {short(shift.relative)} | {percent(shift.first)} | {shift.n_directions} |"
        )
    lines += ["", f"{len(report.weights)} of {report.n_weights} weights differ.", ""]
    lines += [
        f"- {code_span(weight.name)}: {short(weight.relative)} of its length, rank {weight.rank or 'not computed'}"
        for weight in report.weights[:_SHOWN_WEIGHTS]
    ]
    lines += [
        f"- latent {latent.index} looks to be the {latent.owner} model's: {latent.artefact or 'no artefact found'} "
        f"(error {short(latent.error_ratio)}, reconstruction {short(latent.reconstruction_ratio)})"
        for latent in report.exclusive
    ]
    return "\n".join(lines) + "\n"
