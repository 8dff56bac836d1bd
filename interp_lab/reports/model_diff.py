"""The report of a model diff as Markdown; it shows the numbers of report.json."""

from __future__ import annotations

from interp_lab.contracts.diff_models import ModelDiffReport
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import percent, short


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
        for weight in report.weights[:40]
    ]
    lines += [
        f"- latent {latent.index} looks to be the {latent.owner} model's: {latent.artefact or 'no artefact found'} "
        f"(error {short(latent.error_ratio)}, reconstruction {short(latent.reconstruction_ratio)})"
        for latent in report.exclusive
    ]
    return "\n".join(lines) + "\n"
