# pyright: standard
"""Several criteria over one pass: each with its own prompts, split and report; q counts all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.inspect import CriterionRow, InspectRequest, InspectResult
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.jobs.run import Run
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.reports.orientation import oriented
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.asked import further
from interp_lab.workflows.inspection.inputs import Inputs, labelled_prompts
from interp_lab.workflows.inspection.measure import Findings
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.inspection.tables import Pooled


def with_further(inputs: Inputs, settings: Settings) -> tuple[Inputs, ...]:
    """Return the inputs of every criterion of a request, the first first, over one loaded model.

    Raises:
        RequestError: The prompts of a further criterion cannot be used.
    """
    return (inputs, *(_of(inputs, request, settings) for request in further(inputs.request)))


def pool_together(several: Sequence[Inputs], run: Run) -> list[Pooled]:
    """Return the pooled activations of the prompts of every criterion; a prompt that several have is read once."""
    if len(several) == 1:
        return [pool_prompts(several[0], run)]
    places: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}
    prompts: list[ScoredPrompt] = []
    tokens: list[TokenizedPrompt] = []
    rows: list[list[int]] = []
    for inputs in several:
        rows.append([])
        for prompt, own in zip(inputs.prompts.prompts, inputs.tokens, strict=True):
            key = (prompt.text, tuple((span.start, span.end) for span in prompt.spans))
            if key not in places:
                places[key] = len(prompts)
                prompts.append(prompt)
                tokens.append(own)
            rows[-1].append(places[key])
    union = replace(several[0], prompts=PromptSet("together", tuple(prompts), ""), tokens=tuple(tokens))
    pooled = pool_prompts(union, run)
    return [Pooled(pooled.values[own], pooled.density, pooled.columns, pooled.units) for own in rows]


def corrected_together(found: Sequence[Findings]) -> list[Findings]:
    """Return the findings with every q times the number of criteria: of explore rows, and of confirm rows.

    One false discovery rate over all tests together would let a criterion that nothing follows be carried by another
    that much follows; so each keeps its own, at the level over the number of criteria.
    """
    n = len(found)
    if n == 1:
        return list(found)
    corrected: list[Findings] = []
    for each in found:
        again = each.confirm
        if again is not None:
            again = replace(again, association=replace(again.association, q=_times(again.association.q, n)))
        corrected.append(replace(each, explore=replace(each.explore, q=_times(each.explore.q, n)), confirm=again))
    return corrected


def with_criteria(result: InspectResult, reports: Sequence[InspectReport], artifacts: Sequence[str]) -> InspectResult:
    """Return the answer about the first criterion with a row for every one, where there are several."""
    if len(reports) == 1:
        return result
    rows = tuple(_row(report, artifact) for report, artifact in zip(reports, artifacts, strict=True))
    found = [f"'{row.criterion[:60]}' {row.best or 'nothing'} ({row.grade or 'not ranked'})" for row in rows[1:]]
    return result.model_copy(update={"criteria": rows, "summary": f"{result.summary}\nAlso asked: {'; '.join(found)}."})


def together_note(n_criteria: int) -> tuple[str, ...]:
    """Return what a reader of one of several reports must know."""
    if n_criteria == 1:
        return ()
    return (f"{n_criteria} criteria were asked of this pass, so every q counts times {n_criteria}.",)


def _of(inputs: Inputs, request: InspectRequest, settings: Settings) -> Inputs:
    prompts = labelled_prompts(request, settings)
    tokens = tokenize(inputs.loaded, dict(zip(prompts.ids(), prompts.texts(), strict=True)))
    return replace(inputs, request=request, prompts=prompts, tokens=tokens)


def _times(q: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.minimum(1.0, n * q)


def _row(report: InspectReport, artifact: str) -> CriterionRow:
    best = report.coordinates[0] if report.coordinates else None
    confirm = None if best is None or best.confirm is None else oriented(best.confirm.auroc, best.sign)
    return CriterionRow(
        criterion=report.criterion,
        report=artifact,
        n_prompts=report.dataset.n_prompts,
        n_significant=report.n_significant,
        best=None if best is None else f"{best.address} #{best.index}",
        grade=None if best is None else best.grade,
        confirm_auroc=None if confirm is None else confirm.value,
        confirm_interval=None if confirm is None or confirm.interval is None else confirm.interval,
        flagged=report.audit.flagged,
    )
