"""Refused calls whose meaning is plain, in a way that works: a name made up, a step first, one of two that exclude."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction

_FILLERS = frozenset({"a", "an", "the", "is", "are", "of", "to", "that", "it"})
_NAME_CHARS = 40


def named_after_criterion(tool: str, arguments: Mapping[str, Any]) -> Iterator[NextAction]:
    """Yield the same prompt set under a name made of its criterion, where it was given none."""
    words = re.findall("[a-z0-9]+", str(arguments.get("criterion", "")).lower())
    name = "-".join(word for word in words if word not in _FILLERS)[:_NAME_CHARS].strip("-")
    if tool == "build_prompts" and "name" not in arguments and name:
        yield NextAction(tool=tool, arguments={**arguments, "name": name}, why=f"The same with name {name!r}.")


def directions_first(tool: str, arguments: Mapping[str, Any]) -> Iterator[NextAction]:
    """Yield the inspection that learns directions, for a vector of a row that is none."""
    source = arguments.get("source")
    kind = cast("dict[str, Any]", source).get("kind") if isinstance(source, dict) else None
    if tool == "make_steering_vector" and kind == "report":
        kept = ("model", "criterion", "dataset", "pooling", "threshold", "seed")
        asked: dict[str, JsonValue] = {name: arguments[name] for name in kept if name in arguments}
        why = "Learns directions as rows of a report; one of them, by its rank, is what this call takes."
        yield NextAction(tool="inspect", arguments={**asked, "evidence": "directions"}, why=why)


def one_of_two(tool: str, arguments: Mapping[str, Any]) -> Iterator[NextAction]:
    """Yield the inspection of either, where prompts and values that bring their own were both named."""
    if tool == "inspect" and {"dataset", "evidence"} <= arguments.keys():
        for left_out in ("dataset", "evidence"):
            rest = {name: value for name, value in arguments.items() if name != left_out}
            yield NextAction(tool=tool, arguments=rest, why=f"The same without {left_out}.")
