"""Answers and failures as MCP results: one object, whole as text and whole as structured content, never too long."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from mcp_types import CallToolResult, TextContent
from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.results import Result
from interp_lab.errors import LabError
from interp_lab_server.sanitize import clean, compact
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.views import as_json

_NOTE_ROOM = 600
_MOST_CALL = 5_000
"""Characters of a call that an answer which is too long hands out."""
_SMALLEST: Mapping[type, int] = {list: 1, dict: 16, str: 400}
"""Sizes below which nothing is cut: a record keeps its fields, a sentence its end."""
_KEPT = frozenset({"summary", "warnings", "agent_next_actions", "error", "job_id"})

Object = dict[str, JsonValue]
Path = tuple[str | int, ...]


def answer_result(answer: Result, *, failed: bool = False) -> CallToolResult:
    """Return the answer as a tool result; `failed` marks a job that ended without one."""
    return _result(shortened(cast("Object", clean(as_json(answer)))), is_error=failed)


def view_result(view: JobView) -> CallToolResult:
    """Return what a call that started a job answers: an error if the job failed."""
    return answer_result(view, failed=view.state == "failed")


def error_result(error: LabError, calls: Iterable[NextAction] = ()) -> CallToolResult:
    """Return a refusal or a failure, with what was wrong, what would work, and the calls that would help."""
    body: Object = {
        "code": error.code,
        "what": error.what,
        "remedy": error.remedy,
        "fields": [dict(problem._asdict()) for problem in error.fields],
        "agent_next_actions": [as_json(call) for call in calls],
    }
    return _result(shortened(cast("Object", clean(body))), is_error=True)


def internal_error_result(error_id: str) -> CallToolResult:
    """Return the answer to a call that met a fault of this software; the id finds it in the server's log."""
    body: Object = {
        "code": "internal_error",
        "what": f"The server met a fault of its own (id {error_id}); nothing is known about the request.",
        "remedy": "Try once more; if it comes back, report it with the server log's entry of that id.",
        "fields": [],
        "agent_next_actions": [],
        "error_id": error_id,
    }
    return _result(body, is_error=True)


def shortened(answer: Object, limit: int = ANSWER_CHARS) -> Object:
    """Return the answer with its largest parts cut until it fits, and a warning that says which and how much.

    A call is handed out whole or not at all: with fewer prompts it would still be valid, and ask another thing.
    """
    if len(compact(answer)) <= limit:
        return answer
    answer = copy.deepcopy(answer)
    whole: dict[Path, int] = {}
    _drop_long_calls(answer, (), whole)
    for kept in (_KEPT, frozenset[str]()):
        while len(compact(answer)) > limit - _NOTE_ROOM:
            largest = max(_parts(answer, (), kept), key=lambda part: len(compact(part[1])), default=None)
            if largest is None:
                break
            _halve(answer, *largest, whole)
    _add_warnings(answer, whole)
    return answer


def _result(body: Object, *, is_error: bool) -> CallToolResult:
    text = TextContent(type="text", text=compact(body))
    return CallToolResult(content=[text], structured_content=dict(body), is_error=is_error)


def _parts(node: JsonValue, path: Path, kept: frozenset[str]) -> Iterator[tuple[Path, JsonValue]]:
    """Yield every list, map and long text below the top that may be cut, innermost first."""
    children: Iterable[tuple[str | int, JsonValue]] = ()
    if _is_call(node):
        return
    if isinstance(node, dict):
        children = [(key, child) for key, child in node.items() if path or key not in kept]
    elif isinstance(node, list):
        children = enumerate(node)
    for key, child in children:
        yield from _parts(child, (*path, key), kept)
    if path and isinstance(node, list | dict | str) and len(node) > _SMALLEST[type(node)]:
        yield path, node


def _is_call(node: JsonValue) -> bool:
    return isinstance(node, dict) and "tool" in node and "arguments" in node


def _drop_long_calls(node: JsonValue, path: Path, whole: dict[Path, int]) -> None:
    """Take out the calls that are too long to be handed out in an answer."""
    if isinstance(node, dict):
        for key, child in node.items():
            _drop_long_calls(child, (*path, key), whole)
            if _is_long_call(child):
                whole[*path, key] = 1
                node[key] = None
    elif isinstance(node, list):
        for place, child in enumerate(node):
            _drop_long_calls(child, (*path, place), whole)
        short = [child for child in node if not _is_long_call(child)]
        if len(short) < len(node):
            whole[path] = len(node)
            node[:] = short


def _is_long_call(node: JsonValue) -> bool:
    return _is_call(node) and len(compact(node)) > _MOST_CALL


def _halve(answer: Object, path: Path, part: JsonValue, whole: dict[Path, int]) -> None:
    owner: Any = answer
    for key in path[:-1]:
        owner = owner[key]
    assert isinstance(part, list | dict | str)
    half = len(part) // 2
    whole.setdefault(path, len(part))
    owner[path[-1]] = dict(list(part.items())[:half]) if isinstance(part, dict) else part[:half]


def _add_warnings(answer: Object, whole: dict[Path, int]) -> None:
    cut = ", ".join(f"/{'/'.join(map(str, path))} (of {total})" for path, total in list(whole.items())[:8])
    pointer = "artifact_read pages through what was written" if answer.get("artifacts") else "ask for less at a time"
    note = f"Shortened to fit {ANSWER_CHARS} characters, from the end of: {cut}. For the rest, {pointer}."
    warnings = answer.get("warnings")
    answer["warnings"] = [*(warnings if isinstance(warnings, list) else []), note]
