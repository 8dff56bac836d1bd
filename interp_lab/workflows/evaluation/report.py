# pyright: standard
"""What an evaluation says: the headline, the caveats in words, the main figures, and the published record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import JsonValue

from interp_lab.contracts.evaluate_sae import ComparedFigure, EvaluateSaeRequest, EvaluateSaeResult
from interp_lab.contracts.evaluation_report import (
    EVALUATION_KIND,
    Estimate,
    EvaluationReport,
    SplicedSection,
    TrainingOverlap,
)
from interp_lab.jobs.run import Run
from interp_lab.reports.evaluation import render_evaluation, render_evaluation_markdown
from interp_lab.workflows.evaluation.sae_bench import Evaluated, sae_bench_files

UNFIRED, DENSE, POOR, COPIES = 0.1, 0.01, 0.5, 0.05

_OVERLAP: Final[dict[TrainingOverlap, str]] = {
    "excluded": "The prompts that it was trained on were left out.",
    "other_data": "It was trained on other data than it was measured on: figures say how it carries over.",
    "possible": "Some or all of these prompts may have been trained on: figures may be too good.",
    "unknown": "Its record does not say what it was trained on: figures may be too good.",
}
_MEANING = "Reconstruction and loss recovered say nothing about what single latents mean."


def headline(report: EvaluationReport) -> str:
    """Return one sentence that is true when quoted alone."""
    own, codes = report.reconstruction[0].fvu, report.sparsity[0]
    held = "held-out " if report.training_overlap == "excluded" else ""
    text = (
        f"{report.architecture}-{report.n_latents} at {report.place} leaves {_percent(own)} of the variance of "
        f"{report.n_tokens:,} {held}tokens unexplained ({report.n_groups} prompt groups) with L0 {codes.l0.value:.1f}"
    )
    share = None if report.spliced is None else _loss_recovered(report.spliced)
    if share is not None:
        text += f"; in the model it recovers {_percent(share)} of the loss that zero ablation costs"
    if report.recovery:
        text += f"; MCC with the true features {report.recovery[0].mcc:.3f}"
    return text + "."


def caveats(report: EvaluationReport) -> tuple[str, ...]:
    """Return what a careful reader must know."""
    return tuple(_caveats(report))


def _caveats(report: EvaluationReport) -> Iterator[str]:
    yield _OVERLAP[report.training_overlap]
    codes, made = report.sparsity[0], report.reconstruction[0]
    if made.fvu.value > POOR:
        yield f"Over {POOR:.0%} of the variance is unexplained."
    if codes.unfired_share > UNFIRED:
        yield f"{codes.unfired_share:.0%} of the latents fired on none of these {codes.window_tokens:,} tokens."
    if codes.n_dense > DENSE * report.n_latents:
        yield f"{codes.n_dense} latents fired on more than {codes.dense_above:.0%} of the tokens."
    if report.geometry.near_copies > COPIES * report.n_latents:
        yield f"{report.geometry.near_copies} latents have a decoder row at cosine 0.9 or more with another."
    if report.spliced is not None:
        yield from _spliced_caveats(report.spliced)
    for each in report.spurious:
        if all(row.score is None for row in each.rows if row.removes == each.stronger):
            yield f"{each.criterion} with {each.label}: the bias cost no accuracy, so there was none to remove."
    if len(report.probing) == 1:
        yield "Targeted probe perturbation needs two criteria or more and was not measured."
    yield _MEANING


def _spliced_caveats(spliced: SplicedSection) -> Iterator[str]:
    if not spliced.error_term_exact:
        yield "With the error of the reconstruction in place the logits were not bit-identical: edits here are inexact."
    if any(row.loss_recovered is None for row in spliced.recovered):
        yield "An ablation did the predictions no harm at this place, so that no share of it can be recovered."
    own = [row.loss_recovered for row in spliced.recovered if row.subject == "dictionary"]
    if any(share is not None and (share.low or 0) < 0 < (share.high or 0) for share in own):
        yield "The interval of loss recovered reaches from under to over nothing: measure on more prompts."


def main_figures(report: EvaluationReport) -> tuple[ComparedFigure, ...]:
    """Return the figures that a short answer shows, each beside that of the random dictionary."""
    return tuple(_figures(report))


def _figures(report: EvaluationReport) -> Iterator[ComparedFigure]:
    for name in ("fvu", "cosine", "norm_ratio"):
        yield _compared(name, [getattr(section, name) for section in report.reconstruction])
    yield _compared("l0", [section.l0 for section in report.sparsity])
    yield _compared("unfired_share", [_of_latents(report, section.unfired_share) for section in report.sparsity])
    if report.spliced is not None:
        yield from _spliced_figures(report.spliced)
    for name in ("mcc", "f1", "recovered", "uniqueness") if report.recovery else ():
        yield _compared(name, [_of_features(getattr(s, name), s.n_features) for s in report.recovery])
    for k in (1, 5) if report.probing else ():
        yield _compared(f"probe of {k}", [_over_criteria(report, of, k) for of in ("latents", "random_latents")])
    totals = {(row.of, row.k): row.total for row in report.perturbation}
    if ("chosen", 10) in totals:
        yield ComparedFigure(name="tpp of 10", dictionary=totals["chosen", 10], random=totals["random", 10])
    if report.spurious:
        yield from _removed(report)
    if report.monosemanticity:
        yield from _proxies(report)


def _removed(report: EvaluationReport) -> Iterator[ComparedFigure]:
    rows = [
        row for section in report.spurious for row in section.rows if (row.removes, row.k) == (section.stronger, 10)
    ]
    scores = {of: [row.score for row in rows if row.of == of and row.score is not None] for of in ("chosen", "random")}
    if scores["chosen"] and scores["random"]:
        own, random = (_mean_score(each) for each in scores.values())
        yield ComparedFigure(name="scr of 10", dictionary=own, random=random)


def _mean_score(scores: Sequence[Estimate]) -> Estimate:
    if len(scores) == 1:
        return scores[0]
    mean = sum(score.value for score in scores) / len(scores)
    unit = f"share of the accuracy lost to the bias, mean of {len(scores)} labels"
    return Estimate(value=round(mean, 6), unit=unit, n=len(scores))


def _proxies(report: EvaluationReport) -> Iterator[ComparedFigure]:
    units = {"selectivity": "class selectivity", "tokens": "different tokens", "similarity": "mean cosine of contexts"}
    for name, unit in units.items():
        found = {s.subject: (getattr(s, name), s.n_latents) for s in report.monosemanticity}
        known = {
            who: Estimate(value=spread.mean, unit=f"{unit}, mean of latents", n=n)
            for who, (spread, n) in found.items()
            if spread is not None
        }
        if "dictionary" in known:
            yield ComparedFigure(
                name=f"monosemanticity: {name}", dictionary=known["dictionary"], random=known.get("random")
            )


def _over_criteria(report: EvaluationReport, of: str, k: int) -> Estimate:
    rows = [row for section in report.probing for row in section.rows if (row.of, row.k) == (of, k)]
    if len(rows) == 1:
        return rows[0].accuracy
    mean = sum(row.accuracy.value for row in rows) / len(rows)
    return Estimate(value=round(mean, 6), unit=f"balanced accuracy, mean of {len(rows)} criteria", n=len(rows))


def _compared(name: str, values: Sequence[Estimate]) -> ComparedFigure:
    return ComparedFigure(name=name, dictionary=values[0], random=values[1] if len(values) > 1 else None)


def _spliced_figures(spliced: SplicedSection) -> Iterator[ComparedFigure]:
    rows = {row.replacement: row for row in spliced.rows}
    random = rows.get("random")
    for ablation in ("zero", "mean"):
        shares = {r.subject: r.loss_recovered for r in spliced.recovered if r.ablation == ablation}
        own = shares["dictionary"]
        if own is not None:
            yield ComparedFigure(name=f"loss_recovered ({ablation})", dictionary=own, random=shares.get("random"))
    yield ComparedFigure(
        name="change of loss", dictionary=rows["dictionary"].change, random=None if random is None else random.change
    )
    yield ComparedFigure(
        name="kl", dictionary=rows["dictionary"].divergence, random=None if random is None else random.divergence
    )


def _of_latents(report: EvaluationReport, share: float) -> Estimate:
    return Estimate(value=share, unit="share of latents", n=report.n_latents)


def _of_features(value: float, n: int) -> Estimate:
    return Estimate(value=value, unit="share or cosine", n=n)


def _loss_recovered(spliced: SplicedSection) -> Estimate | None:
    return next(r.loss_recovered for r in spliced.recovered if (r.subject, r.ablation) == ("dictionary", "zero"))


def _percent(found: Estimate) -> str:
    low, high = found.low or 0.0, found.high or 0.0
    return f"{found.value:.1%} (95 % {low:.1%} to {high:.1%})"


def publish(found: Evaluated, run: Run) -> None:
    """Write the report as JSON, Markdown and HTML, and in the layout of SAEBench."""
    report = found.report
    with run.artifact(EVALUATION_KIND, report.headline[:200]) as files:
        files.write_json("report.json", report.model_dump(mode="json"))
        files.write_text("report.md", render_evaluation_markdown(report))
        files.write_text("report.html", render_evaluation(report))
        for name, value in sae_bench_files(found).items():
            files.write_json(name, value)
        files.metrics |= {"fvu": report.reconstruction[0].fvu.value, "l0": report.sparsity[0].l0.value}
        files.warnings += report.caveats


def request_record(request: EvaluateSaeRequest) -> dict[str, JsonValue]:
    """Return what was asked."""
    return request.model_dump(mode="json", exclude={"dry_run", "wait_s", "request_key"})


def answer(report: EvaluationReport) -> EvaluateSaeResult:
    """Return the short form of a report, without next actions."""
    second = (
        "Every figure stands beside that of a random dictionary of the same size and sparsity; report.html has plots."
    )
    if len(report.reconstruction) == 1:
        second = "There is no random control for a dictionary that writes another place; report.html has plots."
    return EvaluateSaeResult(
        summary=f"{report.headline}\n{second}",
        warnings=report.caveats,
        place=report.place,
        n_tokens=report.n_tokens,
        n_groups=report.n_groups,
        training_overlap=report.training_overlap,
        figures=main_figures(report),
    )
