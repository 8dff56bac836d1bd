"""Registered hypotheses of a question, each with the runs that named it and what they found."""

from __future__ import annotations

from collections.abc import Sequence

from interp_lab.contracts.dossier import RegisteredHypothesis
from interp_lab.settings import Settings
from interp_lab.workflows.memory.history import PastRun, same_words
from interp_lab.workflows.memory.registry import read_registry


def registered(settings: Settings, runs: Sequence[PastRun]) -> tuple[RegisteredHypothesis, ...]:
    """Return the hypotheses about the model and criterion of these runs, latest first.

    Raises:
        RegistryBroken: The registry is not what was written.
    """
    if not runs:
        return ()
    report = runs[-1].report
    about = [
        record
        for record in read_registry(settings)
        if record.request.model.id == report.model.id
        and same_words(record.request.criterion) == same_words(report.criterion)
    ]
    return tuple(
        RegisteredHypothesis(
            id=record.id,
            registered_at=record.registered_at,
            statement=record.statement,
            runs=tuple(run.id for run, _ in _outcomes(runs, record.id)),
            verdicts=tuple(verdict for _, verdict in _outcomes(runs, record.id)),
        )
        for record in reversed(about)
    )


def _outcomes(runs: Sequence[PastRun], hypothesis: str) -> list[tuple[PastRun, str]]:
    return [
        (run, run.report.hypothesis.verdict)
        for run in runs
        if run.report.hypothesis is not None and run.report.hypothesis.id == hypothesis
    ]
