"""A call of a tool that works: its example, about what the caller named, with ids of what the workspace holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.jobs.engine import JobEngine
from interp_lab_tools.catalogue import BY_NAME

_MADE_UP = re.compile(r"([0-9])\1{31}")
"""An id in an example, which stands for one of the reader's own."""
_WORKS = "A call of this tool that works as it stands; put your own words in."
_OWN = ("model", "criterion", "dataset", "store")
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "store": ("activation_store",),
    "report": ("inspect_report",),
    "graph": ("criterion_graph", "attribution_graph"),
}
"""Field → kinds of artifacts whose latest any such call takes."""
_LISTS: Final[Mapping[str, str]] = {
    "store": "stores",
    "stores": "stores",
    "step": "stores",
    "dictionary": "dictionaries",
    "dictionaries": "dictionaries",
    "model": "models",
    "dataset": "datasets",
    "job_id": "jobs",
}
"""Field → section of the overview that lists what it names; for ids in other fields, artifacts."""


def filled_example(tool: str, arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    """Yield the caller's own arguments with what is missing taken from the example."""
    for example in plain_example(tool, arguments, engine):
        fields = BY_NAME[tool].request.model_fields
        own = {name: value for name, value in arguments.items() if name in fields}
        missing = [name for name in example.arguments if name not in own]
        if own and missing:
            why = (
                f"Your call with what it lacks, taken from an example: put your own words in for {', '.join(missing)}."
            )
            yield example.model_copy(update={"arguments": {**example.arguments, **own}, "why": why})


def own_example(tool: str, arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    """Yield the example with the model, the criterion and the prompts that the caller named."""
    for example in plain_example(tool, arguments, engine):
        own = {name: value for name, value in arguments.items() if name in _OWN and name in example.arguments}
        if own:
            said = ", ".join(name for name in _OWN if name in own)
            why = f"A call of this tool that works as it stands, with your {said}; put your own words in for the rest."
            yield example.model_copy(update={"arguments": {**example.arguments, **own}, "why": why})


def plain_example(tool: str, arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[NextAction]:
    """Yield the example of a tool; where it has ids that stand for the reader's own, with the latest there is."""
    capability = BY_NAME.get(tool)
    if capability is None:
        return
    example: dict[str, JsonValue] = {**capability.example, **_latest(capability.example, engine)}
    if not _MADE_UP.search(str(example)) and example != dict(arguments):
        yield NextAction(tool=tool, arguments=example, why=_WORKS)


def what_it_names(tool: str) -> Iterator[NextAction]:
    """Yield the list of what a call of a tool names; of what the workspace alone has, where its example names such."""
    example: Mapping[str, JsonValue] = BY_NAME[tool].example if tool in BY_NAME else {}
    made_up = _made_up(example)
    sections = [_LISTS.get(name, "artifacts") for name in made_up] or [_LISTS[n] for n in example if n in _LISTS]
    if sections:
        wanted: list[JsonValue] = [*dict.fromkeys(sections)]
        yield NextAction(tool="lab_overview", arguments={"sections": wanted}, why="See what there is to be named.")


def _made_up(example: Mapping[str, JsonValue]) -> list[str]:
    return [name for name, value in example.items() if _MADE_UP.search(str(value))]


def _latest(example: Mapping[str, JsonValue], engine: JobEngine) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name in _made_up(example):
        latest = [made for kind in _KINDS.get(name, ()) for made in engine.list_artifacts(kind=kind, limit=1).items]
        if latest:
            found[name] = latest[0].id
    return found
