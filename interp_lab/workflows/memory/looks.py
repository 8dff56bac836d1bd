"""How often earlier runs graded a unit on the same confirm prompts, with other settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import JsonValue

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.jobs import RUN_CONTROLS
from interp_lab.workflows.memory.history import PastRun, same_words
from interp_lab.workflows.memory.units import coordinate_ids, edited_ids

_NOTHING: Mapping[str, str] = MappingProxyType({})
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


def settings_key(request: Mapping[str, JsonValue], same: Mapping[str, str] = _NOTHING) -> bytes:
    """Return what tells two ways of measuring a unit apart; asking the same again is no new look.

    `same` has the one name of every dictionary: to call it otherwise is no other way.
    """
    left_out = _WHICH | RUN_CONTROLS
    asked = {name: value for name, value in request.items() if name not in left_out and value is not None}
    if asked.get("dictionaries"):
        asked["dictionaries"] = [same.get(name, name) for name in dictionaries_of(request)]
    return canonical_json(asked)


def dictionaries_of(request: Mapping[str, JsonValue]) -> list[str]:
    """Return the dictionaries that an inspect request names."""
    asked = request.get("dictionaries")
    return [str(name) for name in asked] if isinstance(asked, list) else []


def earlier_looks(
    runs: Sequence[PastRun],
    split: Split,
    request: Mapping[str, JsonValue],
    *,
    edits: bool,
    same: Mapping[str, str] = _NOTHING,
) -> dict[str, int]:
    """Return for each unit by how many other settings it was graded on these confirm prompts before.

    `edits` counts interventions, else correlations: an edit is no second look at a correlation. `same` has the one
    name of the request's dictionaries.
    """
    own = settings_key(request, same)
    by_id = {run.id: run for run in runs}
    looked: dict[str, set[bytes]] = {}
    for run in runs:
        if isinstance(run.report, InspectReport) is edits or Split.of(run) != split or not run.report.dataset.n_confirm:
            continue
        key = settings_key(run.request, run.same)
        ids = edited_ids(run, by_id.get) if edits else coordinate_ids(run)
        for unit in ids.values() if key != own else ():
            looked.setdefault(unit, set()).add(key)
    return {unit: len(keys) for unit, keys in looked.items()}
