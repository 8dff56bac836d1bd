# pyright: standard
"""Interventions set against the split of an inspection, by the column that each edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.edited.columns import Columns
from interp_lab.workflows.inspection.edited.records import Rows, edits_of_records
from interp_lab.workflows.inspection.edited.reports import Question, edits_of_report
from interp_lab.workflows.inspection.edited.sources import Edits
from interp_lab.workflows.inspection.edited.tested import NOTHING, Merged, Tested
from interp_lab.workflows.inspection.material import Material
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.memory.history import PastRun, read_run

MAX_EDITED = 100
"""Edited coordinates that are described; of more, the first."""
_NAMED = 5


def merge_edits(edits: Edits, inputs: Material, plan: Design, *, columns: Columns, settings: Settings) -> Merged:
    """Return every edit of a coordinate that is ranked here; what is about anything else is named in the notes."""
    if not edits.reports and not edits.records:
        return NOTHING
    by_column: defaultdict[int, list[Tested]] = defaultdict(list)
    strangers: dict[str, None] = {}
    for name, column, tested in _all(edits, inputs, plan, columns=columns, settings=settings):
        if column is None:
            strangers[name[:60]] = None
        elif column in by_column or len(by_column) < MAX_EDITED:
            by_column[column].append(tested)
    notes = [each.left_out for each in edits.records if each.left_out]
    if strangers:
        listed = ", ".join(list(strangers)[:_NAMED])
        more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
        notes.append(f"Interventions on {listed}{more} are about nothing that is ranked here, and move no grade.")
    return Merged({column: tuple(found) for column, found in by_column.items()}, tuple(notes))


def _all(
    edits: Edits, inputs: Material, plan: Design, *, columns: Columns, settings: Settings
) -> Iterator[tuple[str, int | None, Tested]]:
    question = Question(
        inputs.prompts.sha256,
        plan.sample.n_positive,
        inputs.request.seed,
        {"explore": plan.split.keys("explore"), "confirm": plan.split.keys("confirm")},
    )
    for run in edits.reports:
        for unit, tested in edits_of_report(run, question, lambda artifact: _inspected(artifact, settings)):
            yield unit, columns.of_unit(unit), tested
    rows = _rows(inputs, plan)
    for source in edits.records:
        for record, tested in edits_of_records(source.kept, source.path, rows):
            yield record.feature_id, columns.of_feature(record.feature_id, record.metadata), tested


def _inspected(artifact: str, settings: Settings) -> PastRun | None:
    try:
        return read_run(artifact, settings)
    except LabError:
        return None


def _rows(inputs: Material, plan: Design) -> Rows:
    return Rows(
        places={name: place for place, name in enumerate(inputs.prompts.ids())},
        groups=np.asarray(plan.sample.groups),
        labels=np.asarray(plan.sample.labels),
        parts=plan.split.parts,
        keys={"explore": plan.split.keys("explore"), "confirm": plan.split.keys("confirm")},
    )
