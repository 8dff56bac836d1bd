"""From a label, a metric or the score to what a probe predicts; names of classes are kept, never hashed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_lab.contracts.probe import TrainProbeRequest
from interp_lab.errors import InvalidRequest, LabelsUnusable, UnknownField
from interp_lab.methods.probe.target import Target, Task
from interp_lab.statistics.arrays import Bools, Floats, Ints
from interp_lab.workflows.querying.view import StoreView

MAX_CLASSES = 50
LEAST_CLASS_GROUPS = 8
"""Independent groups that a class needs; rarer classes are left out."""

Raw = Sequence[Any]
"""One value per example: number, name, boolean, or None where there is none."""


def raw_target(view: StoreView, request: TrainProbeRequest, *, prompts: Ints, rows: Ints, owner: Ints) -> Raw:
    """Return the target's value of every example as the store has it.

    Where examples are prompts and the target belongs to rows, a number is averaged over the example's rows.

    Raises:
        UnknownField: the store has no such target.
        InvalidRequest: the target belongs to rows, is not a number, and examples are prompts.
    """
    name = request.target
    per_prompt, per_row = name in view.prompts.column_names, name in view.row_fields
    if not per_prompt and not per_row:
        view.where_is(name)
        raise UnknownField(f"{name!r} cannot be predicted.")
    if per_row and (request.pooling == "none" or not per_prompt):
        values = _listed(view.field(name), rows)
        return values if request.pooling == "none" else _averaged(values, owner, prompts.size, name)
    return _listed(view.prompts.column(name), prompts)


def as_target(raw: Raw, request: TrainProbeRequest, groups: Ints) -> tuple[Ints, Target]:
    """Return which examples have a usable target, ascending, and the target of those.

    Raises:
        LabelsUnusable: there are too few or too many classes, or numbers were needed.
    """
    known = np.flatnonzero([_is_known(value) for value in raw]).astype(np.intp)
    values: list[Any] = [raw[int(place)] for place in known]
    if not values:
        raise LabelsUnusable(f"No example has a value of {request.target}.")
    if isinstance(values[0], list):
        raise LabelsUnusable(f"{request.target} holds spans; probe their rows with pooling 'span' or another label.")
    task = _task(values, request)
    if task == "regression":
        return known, Target("regression", _numbers(values, request.target))
    if task == "binary":
        return known, _binary(values, request)
    kept, target = _multiclass(values, groups[known], request.target)
    return known[kept], target


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _task(values: Raw, request: TrainProbeRequest) -> Task:
    if request.positive is not None:
        if request.task not in ("auto", "binary"):
            raise InvalidRequest("'positive' names one class against the others, which makes the task binary.")
        return "binary"
    if request.task != "auto":
        return request.task
    if request.target == "score":
        return "binary"
    distinct = len(set(values))
    if isinstance(values[0], (str, bool)):
        return "binary" if distinct == 2 else "multiclass"
    return "binary" if distinct == 2 else "regression"


def _binary(values: Raw, request: TrainProbeRequest) -> Target:
    if request.positive is not None:
        return Target("binary", _floats([_name(v) == request.positive for v in values]), _against(request.positive))
    if isinstance(values[0], (int, float)) and not isinstance(values[0], bool):
        numbers, distinct = _numbers(values, request.target), sorted(set(values))
        if request.target != "score" and len(distinct) == 2:
            return Target("binary", _floats(numbers == distinct[1]), (_name(distinct[0]), _name(distinct[1])))
        cut = request.threshold
        return Target("binary", _floats(numbers >= cut), (f"below {cut:g}", f"at least {cut:g}"))
    names = sorted({_name(value) for value in values})
    if len(names) != 2:
        raise LabelsUnusable(
            f"{request.target} has {len(names)} values: {', '.join(names)[:200]}.",
            remedy="Name one of them as 'positive', or ask for task 'multiclass'.",
        )
    return Target("binary", _floats([_name(value) == names[1] for value in values]), (names[0], names[1]))


def _against(positive: str) -> tuple[str, str]:
    return f"not {positive}", positive


def _multiclass(values: Raw, groups: Ints, name: str) -> tuple[Ints, Target]:
    names = [_name(value) for value in values]
    holders = Counter(own for own, _ in set(zip(names, groups.tolist(), strict=True)))
    classes = tuple(sorted(own for own, n_groups in holders.items() if n_groups >= LEAST_CLASS_GROUPS))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise LabelsUnusable(
            f"{name} has {len(classes)} values with {LEAST_CLASS_GROUPS} independent groups or more; "
            f"2 to {MAX_CLASSES} can be told apart."
        )
    code = {own: place for place, own in enumerate(classes)}
    kept = np.flatnonzero([own in code for own in names]).astype(np.intp)
    return kept, Target("multiclass", np.array([code[names[place]] for place in kept], dtype=np.float64), classes)


def _numbers(values: Raw, name: str) -> Floats:
    if isinstance(values[0], str):
        raise LabelsUnusable(f"{name} holds names, not numbers.", remedy="Ask for task 'binary' or 'multiclass'.")
    numbers = np.asarray(values, dtype=np.float64)
    if not np.ptp(numbers) > 0:
        raise LabelsUnusable(f"{name} has the same value everywhere.")
    return numbers


def _floats(flags: Sequence[bool] | Bools) -> Floats:
    return np.asarray(flags, dtype=np.float64)


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(column: Any, places: Ints) -> list[Any]:
    taken: list[Any] = column.take(places).to_pylist()
    return taken


def _averaged(values: Raw, owner: Ints, n: int, name: str) -> Raw:
    known = np.array([_is_known(value) for value in values], dtype=np.bool_)
    listed = [value for value, own in zip(values, known, strict=True) if own]
    if any(isinstance(value, (str, list)) for value in listed[:1]):
        raise InvalidRequest(f"{name} belongs to rows and is not a number.", remedy="Use pooling 'none'.")
    sums = np.bincount(owner[known], weights=np.asarray(listed, dtype=np.float64), minlength=n)
    counts = np.bincount(owner[known], minlength=n)
    return [float(total) / int(count) if count else None for total, count in zip(sums, counts, strict=True)]
