"""Arguments that were refused, put right where one meaning is likely: near names, near words, a list of one."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interp_lab.contracts.base import Contract

_ROUNDS = 4
_BOUNDED = frozenset({"wait_s", "limit", "max_chars", "max_bytes"})
"""Fields that say how an answer is given, not what is asked: only these are moved to their bound."""
_QUOTED = re.compile(r"'([^']*)'")


class Repair(NamedTuple):
    """Arguments that are valid now, and what was changed."""

    arguments: dict[str, Any]
    said: str


def repaired(model: type[Contract], arguments: Mapping[str, Any]) -> Repair | None:
    """Return the arguments with every wrong field put right, or None where one is left or none was wrong."""
    mended = copy.deepcopy(dict(arguments))
    said: list[str] = []
    for _ in range(_ROUNDS):
        try:
            model.model_validate(mended)
        except ValidationError as error:
            found = [_repair(model, mended, detail) for detail in error.errors(include_url=False)]
            if not any(found):
                return None
            said += [change for change in found if change]
        else:
            return Repair(mended, ", ".join(dict.fromkeys(said))) if said else None
    return None


def _repair(model: type[Contract], arguments: dict[str, Any], detail: ErrorDetails) -> str | None:
    """Mend one wrong field in place and return what was done, or None."""
    owner, name = _owner(arguments, detail["loc"])
    if name is None:
        return None
    context: dict[str, Any] = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "extra_forbidden" and owner is arguments:
        return _rename(model, arguments, str(name))
    if kind in {"literal_error", "enum"}:
        return _replace(owner, name, difflib.get_close_matches(str(owner[name]), _QUOTED.findall(context["expected"])))
    if kind in {"tuple_type", "list_type"} and not isinstance(owner[name], bool | None):
        owner[name] = [owner[name]]
        return f"{name} as a list"
    if kind in {"less_than_equal", "greater_than_equal"} and name in _BOUNDED:
        return _replace(owner, name, [context.get("le", context.get("ge"))])
    return None


def _owner(arguments: dict[str, Any], location: tuple[int | str, ...]) -> tuple[Any, int | str | None]:
    """Return the record or list that holds the field, and its name there; branches of a union are no part of either."""
    node: Any = arguments
    for part in location[:-1]:
        if _has(node, part):
            node = node[part]
    last = location[-1] if location else None
    return node, last if _has(node, last) else None


def _has(node: object, part: int | str | None) -> bool:
    if isinstance(part, int):
        return isinstance(node, list)
    return isinstance(node, dict) and part in node


def _rename(model: type[Contract], owner: dict[str, Any], name: str) -> str | None:
    free = [known for known in model.model_fields if known not in owner]
    for near in difflib.get_close_matches(name, free, n=1):
        owner[near] = owner.pop(name)
        return f"{name} as {near}"
    return None


def _replace(owner: Any, name: int | str, values: list[Any]) -> str | None:
    if not values or values[0] is None:
        return None
    owner[name] = values[0]
    return f"{name} {values[0]!r}"
