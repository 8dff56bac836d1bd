"""Arguments that were refused, put right where one meaning is likely: near names, near words, a list of one."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interp_lab.contracts.base import Contract
from interp_lab_tools.kinds import NO_KIND, kinds_that_fit

_ROUNDS = 4
_UNKNOWN = "extra_forbidden"
_BOUNDED = frozenset({"wait_s", "limit", "max_chars", "max_bytes"})
"""Fields that say how an answer is given, not what is asked: only these are moved to their bound."""
_OTHER_WORDS = {"timeout_s": "wait_s", "timeout": "wait_s", "address": "addresses", "layers": "addresses"}
"""What other software calls a field."""
_UNIT = re.compile(r"([^#/]+)#([0-9]{1,9})")
_NEAREST = re.compile(r"no hook point '([^']+)'; nearest: (\w+)")
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
            details = error.errors(include_url=False)
            found = [*_other_names(mended, details)] or [_repair(model, mended, detail) for detail in details]
            if not any(found):
                return None
            said += [change for change in found if change]
        else:
            return Repair(mended, ", ".join(dict.fromkeys(said))) if said else None
    return None


def _other_names(arguments: dict[str, Any], details: list[ErrorDetails]) -> Iterator[str]:
    """Give the one field that a record lacks the value of the one that it should not have, inside a record."""
    for lacking in details:
        inside, missing = lacking["loc"][:-1], lacking["loc"][-1:]
        others = [each["loc"][-1] for each in details if each["loc"][:-1] == inside and each["type"] == _UNKNOWN]
        lacks = sum(each["loc"][:-1] == inside and each["type"] == "missing" for each in details)
        if lacking["type"] != "missing" or not inside or (len(others), lacks) != (1, 1):
            continue
        owner, name = _owner(arguments, (*inside, others[0]))
        if name is not None:
            owner[missing[0]] = owner.pop(name)
            yield f"{name} as {missing[0]}"


def _repair(model: type[Contract], arguments: dict[str, Any], detail: ErrorDetails) -> str | None:
    """Mend one wrong field in place and return what was done, or None."""
    owner, name = _owner(arguments, detail["loc"])
    if name is None:
        return None
    if detail["type"] == _UNKNOWN:
        return _rename(model, arguments, str(name)) if owner is arguments else None
    if detail["type"] == NO_KIND:
        fitting = kinds_that_fit(model, arguments, detail["loc"])
        return _replace(owner[name], "kind", fitting) if len(fitting) == 1 else None
    near = _nearest_words(owner[name], detail)
    if near:
        return _replace(owner, name, near)
    return _reshape(owner, name, detail)


def _nearest_words(value: Any, detail: ErrorDetails) -> list[Any]:
    """Return what may have been meant by a word, a kind or a number past its bound, nearest first."""
    context: dict[str, Any] = detail.get("ctx", {})
    kind = detail["type"]
    if kind in {"literal_error", "enum"}:
        words = {word.lower(): word for word in _QUOTED.findall(context["expected"])}
        said = str(value).lower()
        longer = [word for word in words if said and word.startswith(said)]
        return [words[near] for near in longer or difflib.get_close_matches(said, words)]
    if kind == "union_tag_invalid":
        tags = difflib.get_close_matches(context["tag"], _QUOTED.findall(context["expected_tags"]))
        return [tag if isinstance(value, str) else {**value, "kind": tag} for tag in tags]
    if kind in {"less_than_equal", "greater_than_equal"} and detail["loc"][-1] in _BOUNDED:
        return [context.get("le", context.get("ge"))]
    return []


def _reshape(owner: Any, name: int | str, detail: ErrorDetails) -> str | None:
    """Mend a list of one, a unit or a named thing written as one text, or the name of a place with a slip in it."""
    value = owner[name]
    if detail["type"] in {"tuple_type", "list_type"} and not isinstance(value, bool | None):
        owner[name] = [value]
        return f"{name} as a list"
    unit, near = _UNIT.fullmatch(str(value)), _NEAREST.search(detail["msg"])
    if detail["type"] == "model_type" and unit:
        return _replace(owner, name, [{"address": unit[1], "index": int(unit[2])}])
    if detail["type"] == "model_type" and isinstance(value, str):
        return _replace(owner, name, [{"name": value}])  # kept only where a name is all that the record needs
    return _replace(owner, name, [str(value).replace(near[1], near[2], 1)] if near else [])


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
    for near in [_OTHER_WORDS[name]] if _OTHER_WORDS.get(name) in free else difflib.get_close_matches(name, free, n=1):
        owner[near] = owner.pop(name)
        return f"{name} as {near}"
    return None


def _replace(owner: Any, name: int | str, values: list[Any]) -> str | None:
    if not values or values[0] is None:
        return None
    owner[name] = values[0]
    return f"{name} {values[0]!r}"
