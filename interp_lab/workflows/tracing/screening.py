# pyright: standard
"""A linear estimate of the mediated effects of all pairs, and how good it is beside exact ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.contracts.path_report import ScreenError
from interp_lab.engine.paths.screen import Screen
from interp_lab.engine.precision import matmul_of_runs
from interp_lab.methods.path_effect import estimate_error
from interp_lab.workflows.tracing.context import Context
from interp_lab.workflows.tracing.cost import FEW_PROMPTS, MOST_PROMPTS
from interp_lab.workflows.tracing.ends import Ends
from interp_lab.workflows.tracing.measure import Measured, typical_size
from interp_lab.workflows.tracing.shares import Passes, Share

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Screened:
    """Estimated mediated effects per unit of scale, `(n_sources, n_targets)`, a mean over explore positives."""

    slopes: Floats
    scale: Floats
    """Typical size of every target, `(n_targets,)`."""
    n_prompts: int
    """The first of explore positives that the mean is over."""


def screen(
    context: Context, ends: Ends, prompts: Sequence[int], *, chooses: bool, share: Share | None = None
) -> Screened:
    """Return the estimates on the first prompts of these; with a share of a screen that chooses, keep its prompts'.

    Raises:
        ShareDone: The prompts of the share have been run.
    """
    prepared = Screen(context.inputs.loaded, [ends.unit(place) for place in range(len(ends.sources))], ends.route)
    total = np.zeros((len(ends.sources), ends.route.n_targets))
    used = list(prompts)[: MOST_PROMPTS if chooses else FEW_PROMPTS]
    bases: list[Floats] = []

    def estimate(prompt: int) -> dict[str, Tensor]:
        found = prepared(context.inputs.tokens[prompt])
        return {"slopes": found.slopes.cpu(), "base": found.base.cpu()}

    passes = Passes.of(context, "screen", [subject.key for subject in ends.sources])
    told = "estimating all pairs"
    with matmul_of_runs(context.inputs.loaded.facts.d_model):
        for found in passes.over(used, estimate, context.run, share if chooses else None, what=told):
            total += found["slopes"].double().numpy()
            bases.append(found["base"].double().numpy())
    return Screened(total / len(used), typical_size(np.stack(bases)), len(used))


def screen_errors(screened: Screened, measured: Measured, scales: Sequence[float]) -> tuple[ScreenError, ...]:
    """Return how the estimates compare with exact effects, strength by strength, over all pairs measured."""
    sources = list(dict.fromkeys(row.source for row in measured.rows if row.control is None))
    return tuple(_error(screened, measured, sources, scale) for scale in sorted(scales, key=abs))


def _error(screened: Screened, measured: Measured, sources: Sequence[int], scale: float) -> ScreenError:
    rows = [measured.row(source, scale) for source in sources]
    typical = np.where(measured.scale > 0, measured.scale, np.inf)
    same = slice(screened.n_prompts)
    exact = (measured.total - measured.passed)[same, rows].mean(axis=0) / typical
    found = estimate_error((screened.slopes[list(sources)] * scale / typical).ravel(), exact.ravel())
    return ScreenError(
        scale=scale,
        relative_size=float(measured.relative[:, rows].mean()),
        n_pairs=found.n_pairs,
        correlation=found.correlation,
        relative_error=found.relative_error,
    )
