# pyright: standard
"""Find a circuit: the edges between components that carry a behaviour, found on explore prompts, measured on others."""

from __future__ import annotations

import time
from collections.abc import Callable

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.circuit_report import CircuitReport
from interp_lab.contracts.find_circuit import CircuitResult, FindCircuitRequest
from interp_lab.engine.precision import matmul_precision
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.circuits.cost import keep_pace
from interp_lab.workflows.circuits.measure import measure
from interp_lab.workflows.circuits.opening import Context, open_context
from interp_lab.workflows.circuits.report import assemble, publish, short_form
from interp_lab.workflows.circuits.search import search
from interp_lab.workflows.intervening.cost import idle_seconds

Suggest = Callable[[CircuitReport], tuple[NextAction, ...]]
"""What to call next, in the words of whoever serves the lab."""


def find_circuit(
    request: FindCircuitRequest, run: Run, *, settings: Settings, suggest: Suggest = lambda _: ()
) -> CircuitResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts, before or while it is run.
    """
    clock = time.perf_counter(), time.process_time()
    with matmul_precision():
        context = open_context(request, run, settings)
        found = search(context)
        measured = measure(context, found)
    report = assemble(context, found, measured)
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, run)
    if run.attempt < 2:  # a second attempt did only a part
        _keep_pace(context, found.pruned.n_tests, idle_seconds(clock), settings)
    return short_form(report)


def _keep_pace(context: Context, n_tests: int, seconds: float, settings: Settings) -> None:
    lengths = context.inputs.lengths
    half = len(context.explore.rows), sum(lengths) / len(lengths)
    facts = context.inputs.loaded.facts
    keep_pace(context.request, facts, settings, half=half, n_tests=n_tests, seconds=seconds)
