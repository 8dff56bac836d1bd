# pyright: standard
"""What every step of tracing needs: the request, what was read, the split, the words, the run, and what to suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.path_report import PathCard, PathReport
from interp_lab.contracts.trace_paths import PathRequest
from interp_lab.jobs.run import Run
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.behaviour import Chosen


@dataclass(frozen=True, slots=True)
class Suggest:
    """What to call next, in the words of whoever serves the lab."""

    after: Callable[[PathReport, str], tuple[NextAction, ...]] = lambda _report, _artifact: ()
    """From the report and its artifact id."""
    path: Callable[[PathCard], NextAction | None] = lambda _card: None
    """From one path."""
    paths: Callable[[Sequence[PathCard]], tuple[NextAction, ...]] = lambda _cards: ()
    """From all of them, one call for those that it would tell more of."""


@dataclass(frozen=True, eq=False)
class Context:
    """What every report of this kind needs."""

    request: PathRequest
    inputs: Inputs
    design: Design
    chosen: Chosen | None
    run: Run
    suggest: Suggest
