"""Conditions on rows, evaluated where they are cheapest: patterns on the vocabulary, prompt fields on prompts.

Patterns run in RE2, whose time is linear in the text, so no pattern can hang the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp_lab.contracts.query_conditions import Condition
from interp_lab.errors import InvalidCondition
from interp_lab.statistics.arrays import Bools
from interp_lab.store.arrow import arrow
from interp_lab.workflows.querying.view import StoreView


def rows_where(view: StoreView, conditions: Sequence[Condition]) -> Bools:
    """Return which rows fulfil every condition `(n_rows,)`.

    Raises:
        UnknownField, UnknownColumn, UnknownUnit: a field is not in the store.
        InvalidCondition: a condition does not fit its field, or a pattern is not RE2.
    """
    chosen = np.ones(view.n_rows, dtype=np.bool_)
    for condition in conditions:
        chosen &= _rows(view, condition) != condition.negate
    return chosen


def _rows(view: StoreView, condition: Condition) -> Bools:
    name = condition.field
    if "#" in name:
        if not name.rpartition("#")[2].isdecimal():
            raise InvalidCondition(f"{name[:80]!r} is not a unit; write for example 'resid_post.2#17'.")
        values = view.values_of(view.unit(name), np.arange(view.n_rows))
        return _holds(arrow().array(values), condition)
    if name == "token":
        held = _holds(view.tokens.texts, condition)
        # One more entry, which is false, for rows without a token.
        return np.append(held, False)[view.tokens.codes]
    if view.where_is(name) == "row":
        return _holds(view.field(name), condition)
    return _holds(view.prompts.column(name), condition)[view.row_prompt]


def _holds(values: Any, condition: Condition) -> Bools:
    """Return for which values the condition holds; null and NaN never do."""
    compute, types = arrow().compute, arrow().types
    held = np.ones(len(values), dtype=np.bool_)
    if condition.matches is not None:
        if not types.is_string(values.type):
            raise _unfit(condition, values.type, "matches is for text")
        held &= _plain(_matches(values, condition.matches))
    if condition.one_of:
        held &= _plain(compute.is_in(values, value_set=_value_set(condition, values.type)))
    if condition.at_least is not None or condition.at_most is not None:
        if not (types.is_floating(values.type) or types.is_integer(values.type)):
            raise _unfit(condition, values.type, "at_least and at_most are for numbers")
        if condition.at_least is not None:
            held &= _plain(compute.greater_equal(values, condition.at_least))
        if condition.at_most is not None:
            held &= _plain(compute.less_equal(values, condition.at_most))
    return held


def _matches(values: Any, pattern: str) -> Any:
    try:
        return arrow().compute.match_substring_regex(values, pattern=pattern)
    except arrow().ArrowInvalid as error:
        what = f"{pattern[:80]!r} is not an RE2 pattern: {str(error)[:200]}."
        raise InvalidCondition(what, remedy="RE2 has no look-around and no back-references.") from error


def _value_set(condition: Condition, kind: Any) -> Any:
    types = arrow().types
    given = condition.one_of
    if types.is_string(kind):
        fits = all(isinstance(value, str) for value in given)
    elif types.is_boolean(kind):
        fits = all(isinstance(value, bool) for value in given)
    elif types.is_floating(kind) or types.is_integer(kind):
        fits = all(isinstance(value, float) and not isinstance(value, bool) for value in given)
    else:
        fits = False
    if not fits:
        raise _unfit(condition, kind, "one_of has values of another type")
    if types.is_integer(kind):
        return arrow().array([int(v) for v in given if isinstance(v, float) and v.is_integer()], type=kind)
    return arrow().array(list(given), type=kind)


def _plain(mask: Any) -> Bools:
    return mask.fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_)  # noqa: FBT003  # null never holds


def _unfit(condition: Condition, kind: Any, why: str) -> InvalidCondition:
    return InvalidCondition(f"Field {condition.field[:80]!r} holds {kind}; {why}.")
