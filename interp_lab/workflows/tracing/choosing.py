# pyright: standard
"""Which sources are measured in full: by exact effects of all, or of those that an estimate leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.base import Interval
from interp_lab.contracts.path_report import ScreenFacts
from interp_lab.contracts.trace_paths import TracePathsRequest
from interp_lab.methods.screen_margin import Recall, strengths, widen
from interp_lab.workflows.intervening.work import blocks_after
from interp_lab.workflows.tracing.comparing import active_sources, compare
from interp_lab.workflows.tracing.context import Context
from interp_lab.workflows.tracing.cost import MOST_PROMPTS, N_DRAWN, Amount, affordable, how_screened
from interp_lab.workflows.tracing.ends import Ends
from interp_lab.workflows.tracing.measure import Floats, Measured
from interp_lab.workflows.tracing.screening import Screened, screen, screen_errors
from interp_lab.workflows.tracing.shares import Share

RECALL_METHOD = "Wilson, over sources drawn at random beyond the margin"
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Choice:
    """The sources that are measured in full, and how they were chosen."""

    screened: Screened
    chosen: tuple[int, ...]
    facts: ScreenFacts
    """Without the errors of the estimate, which exact effects will tell."""
    n_runs: int = 0
    """Edited runs that it took."""

    def told(self, measured: Measured, scales: Sequence[float]) -> ScreenFacts:
        """Return the facts with the error of the estimate by strength."""
        return self.facts.model_copy(update={"errors": screen_errors(self.screened, measured, scales)})


class _Ranked(NamedTuple):
    """Sources compared exactly, and what is known of the rest."""

    sources: Places
    strengths: Floats
    recall: Recall | None
    bound: float | None
    n_runs: int


def choose(
    context: Context, ends: Ends, request: TracePathsRequest, prompts: Sequence[int], *, share: Share | None
) -> Choice:
    """Return all sources if they are few, else those of the largest effects at the graded strength, on these prompts.

    Raises:
        ShareDone: The prompts of the share have been run.
    """
    used, n = list(prompts)[:MOST_PROMPTS], request.n_measured
    how, active = None, np.zeros(0)
    if len(ends.sources) > n:
        active = active_sources(context, ends, used)
        asked = amount_of(request, context, ends)
        how = how_screened(request, asked, float(active.sum()) / len(used))
    screened = screen(context, ends, prompts, chooses=how == "gradient", share=share)
    facts = ScreenFacts(
        n_sources=len(ends.sources),
        n_targets=ends.route.n_targets,
        n_pairs=screened.slopes.size,
        n_measured=min(n, len(ends.sources)),
        how=how,
        errors=(),
    )
    if how is None:
        return Choice(screened, tuple(range(len(ends.sources))), facts)
    alive = np.flatnonzero(active)
    if len(alive) == 0:  # all are silent, and so is whatever is chosen
        return Choice(screened, tuple(range(n)), facts.model_copy(update={"n_checked": 0, "recall": 1.0}))
    ranked = (
        _compared(context, ends, alive, used, share=share)
        if how == "exact"
        else _within_margin(context, ends, screened, alive, prompts=used, asked=request, share=share)
    )
    order = ranked.sources[np.argsort(-ranked.strengths, kind="stable")[:n]]
    return Choice(screened, tuple(map(int, order)), _told(facts, ranked, len(order)), ranked.n_runs)


def amount_of(request: TracePathsRequest, context: Context, ends: Ends) -> Amount:
    """Return how much is asked for, as the plan counted it, so that its next one is corrected by what this took."""
    lengths = [len(tokens) for tokens in context.inputs.tokens]
    return Amount(
        n_sources=len(ends.sources),
        n_targets=len(ends.targets),
        n_measured=min(len(ends.sources), request.n_measured),
        n_prompts=(sum(context.inputs.prompts.positive(request.threshold)) + 1) // 2,
        n_negatives=0,
        tokens=sum(lengths) / len(lengths),
        screen=request.screen,
        n_blocks=blocks_after(ends.route.source, context.inputs.loaded.facts.n_layers),
        are_latents=request.source_dictionary is not None,
    )


def _compared(context: Context, ends: Ends, alive: Places, prompts: Sequence[int], *, share: Share | None) -> _Ranked:
    """Every source that is active anywhere; the effect of the others is exactly 0."""
    found = compare(context, ends, alive.tolist(), prompts, stage="screen", share=share)
    return _Ranked(alive, strengths(found.effects, found.scale), Recall(1.0, 1.0, 1.0), None, found.n_runs)


def _within_margin(
    context: Context,
    ends: Ends,
    screened: Screened,
    alive: Places,
    *,
    prompts: Sequence[int],
    asked: TracePathsRequest,
    share: Share | None,
) -> _Ranked:
    """The largest estimates and sources drawn at random first; then whatever the error of these leaves open."""
    estimated = strengths(screened.slopes[alive] * abs(asked.scales[0]), screened.scale)
    runs: list[int] = []

    def exact_of(places: Places, step: Literal["drawn", "margin"]) -> Floats:
        found = compare(context, ends, alive[places].tolist(), prompts, stage=step, share=share)
        runs.append(found.n_runs)
        return strengths(found.effects, found.scale)

    most = affordable(asked, amount_of(asked, context, ends))
    found = widen(estimated, exact_of, asked.n_measured, n_drawn=N_DRAWN, most=most, seed=asked.seed)
    return _Ranked(alive[found.places], found.exact, found.recall, found.bound, sum(runs))


def _told(facts: ScreenFacts, ranked: _Ranked, n: int) -> ScreenFacts:
    recall = ranked.recall
    interval = recall and Interval(low=round(recall.low, 3), high=round(recall.high, 3), method=RECALL_METHOD)
    return facts.model_copy(
        update={
            "n_measured": n,
            "n_checked": len(ranked.sources),
            "recall": recall and round(recall.share, 3),
            "recall_interval": None if facts.how == "exact" else interval,
            "error_bound": None if ranked.bound is None or np.isinf(ranked.bound) else float(f"{ranked.bound:.4g}"),
        }
    )
