"""Metrics and labels as what units are associated with; what cannot be used is named with its reason, never dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp_lab.errors import InvalidCondition
from interp_lab.statistics.block_association import Target
from interp_lab.store.arrow import arrow
from interp_lab.workflows.querying.rows import RowSet
from interp_lab.workflows.querying.texts import clipped_apart

_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A target that says nothing here."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What was asked for, over the rows in the order of `RowSet.by_group`."""

    usable: tuple[Target, ...]
    left_out: tuple[LeftOut, ...]


def find_targets(rows: RowSet, names: Sequence[str], *, max_values: int) -> Targets:
    """Return the targets of these names, or of every metric and label of the store.

    A label with several values gives one target per value, that value against the rest.

    Raises:
        UnknownField: the store has no field of that name.
        InvalidCondition: a name is that of a unit.
    """
    found: list[Target | LeftOut] = []
    for name in names or _every_name(rows):
        if "#" in name:
            raise InvalidCondition(f"{name[:80]!r} is a unit; targets are metrics, labels and marks.")
        found += _targets_of(rows, name, max_values)
    usable: list[Target] = []
    left_out = [each for each in found if isinstance(each, LeftOut)]
    for each in found:
        if isinstance(each, Target):
            why = each.why_unusable(rows.clusters)
            if why is None:
                usable.append(each)
            else:
                left_out.append(LeftOut(each.name, why))
    return Targets(tuple(usable), tuple(left_out))


def field_values(rows: RowSet, name: str) -> Any:
    """Return a field at the rows of `rows.by_group`, as an Arrow array."""
    if rows.view.where_is(name) == "row":
        values, at = rows.view.field(name), rows.by_group
    else:
        values, at = rows.view.prompts.column(name), rows.view.row_prompt[rows.by_group]
    taken = values.take(arrow().array(at))
    return taken.combine_chunks() if isinstance(taken, arrow().ChunkedArray) else taken


def _every_name(rows: RowSet) -> list[str]:
    header = rows.view.store.manifest
    names = [f"metric:{metric.name}" for metric in header.metrics]
    names += [f"label:{label.name}" for label in header.labels if label.type != "span"]
    return list(dict.fromkeys(names))


def _targets_of(rows: RowSet, name: str, max_values: int) -> list[Target | LeftOut]:
    types = arrow().types
    values = field_values(rows, name)
    if types.is_boolean(values.type):
        return [_numeric(name, values.cast("uint8"), is_label=True)]
    if types.is_floating(values.type) or types.is_integer(values.type):
        return [_numeric(name, values, is_label=False)]
    if types.is_string(values.type):
        return _one_against_rest(name, values, max_values)
    return [LeftOut(name, f"it holds {values.type}, which is no single value per row")]


def _numeric(name: str, values: Any, *, is_label: bool) -> Target:
    numbers = values.cast("float64").fill_null(np.nan).to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    return Target(name, np.where(known, numbers, 0.0), known, is_label=is_label)


def _one_against_rest(name: str, values: Any, max_values: int) -> list[Target | LeftOut]:
    encoded = values.dictionary_encode()
    levels = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if not levels:
        return [LeftOut(name, "it is known on none of the rows")]
    if len(levels) > max_values:
        return [LeftOut(name, f"it has {len(levels)} values, more than max_values {max_values}")]
    known = codes >= 0
    order = sorted(range(len(levels)), key=lambda code: str(levels[code]))
    if len(levels) == 2:
        # The other value is the same test with the sign turned.
        order = order[1:]
    shown = clipped_apart(levels, _NAME_CHARS)
    return [Target(f"{name}={shown[code]}", (codes == code).astype(np.float64), known, is_label=True) for code in order]
