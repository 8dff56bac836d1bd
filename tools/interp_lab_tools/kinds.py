"""Records that say which kind they are: what the kinds are, and which one was meant where it was left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interp_lab.contracts.base import Contract

NO_KIND = "union_tag_not_found"
"""pydantic's error where a record does not say its kind."""
_QUOTED = re.compile(r"'([^']*)'")
Location = tuple[int | str, ...]


def kinds_at(model: type[Contract], arguments: Mapping[str, Any], location: Location) -> tuple[str, ...]:
    """Return the kinds that the record at the location may have; empty where no record with a kind is there."""
    for detail in _problems(model, _with_kind(dict(arguments), location, "")):
        if detail["loc"] == location and detail["type"] == "union_tag_invalid":
            return tuple(_QUOTED.findall(detail.get("ctx", {})["expected_tags"]))
    return ()


def kinds_that_fit(model: type[Contract], arguments: Mapping[str, Any], location: Location) -> list[str]:
    """Return the kinds with which everything in the record at the location is valid."""
    return [
        kind
        for kind in kinds_at(model, arguments, location)
        if all(
            d["loc"][: len(location)] != location for d in _problems(model, _with_kind(dict(arguments), location, kind))
        )
    ]


def _with_kind(node: Any, location: Location, kind: str) -> Any:
    """Return the arguments with that kind in the record at the location; what lies beside the way is not copied."""
    if not location:
        return cast("dict[str, Any]", node) | {"kind": kind} if isinstance(node, dict) else node
    part, rest = location[0], location[1:]
    if not _holds(node, part):
        return _with_kind(node, rest, kind)  # branches of a union are no part of the arguments
    told = node.copy()
    told[part] = _with_kind(node[part], rest, kind)
    return told


def _holds(node: object, part: int | str) -> bool:
    return isinstance(node, list) if isinstance(part, int) else isinstance(node, dict) and part in node


def _problems(model: type[Contract], arguments: dict[str, Any]) -> Iterator[ErrorDetails]:
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        yield from error.errors(include_url=False, include_input=False)
