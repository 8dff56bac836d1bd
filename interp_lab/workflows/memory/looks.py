"""How often earlier runs graded a unit on the same confirm prompts, with other settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.workflows.memory.history import PastRun, same_words
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids

_WHICH = frozenset(
    {"report", "ranks", "units", "hypothesis", "top_k", "n_contexts", "addresses", "interventions", "also"}
)
"""Fields that say which units are looked at or shown, not how one is measured."""


@dataclass(frozen=True, slots=True)
class Split:
    """The prompts that decide: equal in all of these, equal confirm prompts."""

    model: str
    """Its id: other weights under the same name count as the same, which is the cautious way."""
    criterion: str
    dataset_sha256: str
    n_positive: int
    seed: int

    @classmethod
    def of(cls, run: PastRun) -> Split:
        """Return the split of a past run."""
        report = run.report
        return cls(
            report.model.id,
            same_words(report.criterion),
            report.dataset.sha256,
            report.dataset.n_positive,
            report.run.seed,
        )


def settings_key(request: Mapping[str, JsonValue]) -> bytes:
    """Return what tells two ways of measuring a unit apart; asking the same again is no new look."""
    left_out = _WHICH | RUN_CONTROLS
    return canonical_json(
        {name: value for name, value in request.items() if name not in left_out and value is not None}
    )


def earlier_looks(
    runs: Sequence[PastRun], split: Split, request: Mapping[str, JsonValue], *, edits: bool
) -> dict[str, int]:
    """Return for each unit by how many other settings it was graded on these confirm prompts before.

    `edits` counts interventions, else correlations: an edit is no second look at a correlation.
    """
    own = settings_key(request)
    by_id = {run.id: run for run in runs}
    looked: dict[str, set[bytes]] = {}
    for run in runs:
        if isinstance(run.report, InspectReport) is edits or Split.of(run) != split or not run.report.dataset.n_confirm:
            continue
        key = settings_key(run.request)
        ids = edited_ids(run, by_id.get) if edits else coordinate_ids(run)
        for unit in ids.values() if key != own else ():
            looked.setdefault(unit, set()).add(key)
    return {unit: len(keys) for unit, keys in looked.items()}
