"""Answers for people at a terminal: the quotable line, tables, where the files are, what to do next."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobProgress, JobView
from interp_lab.contracts.results import Result
from interp_lab_tools.catalogue import find
from interp_lab_tools.views import as_json

_MAX_COLUMNS = 9
_MAX_CELL = 36
_SHARED = frozenset(Result.model_fields)


def render(answer: Result, workspace: str) -> str:
    """Return the answer as lines for a terminal."""
    lines = [answer.summary, *(f"  ! {warning}" for warning in answer.warnings)]
    for key, value in _own_fields(answer).items():
        lines += _section(key, value)
    for artifact in answer.artifacts:
        lines.append(f"\n{artifact.title}")
        folder = f"{workspace}/{artifact.path}" if artifact.path else artifact.uri
        lines += [f"  {folder}/{file.name}" for file in artifact.files]
    if answer.agent_next_actions:
        lines.append("\nnext")
        lines += [line for action in answer.agent_next_actions for line in _offered(action, workspace)]
    return printable("\n".join(lines))


def _offered(action: NextAction, workspace: str) -> list[str]:
    """Return a call to make next: its command, and why, at what cost and with what it can change."""
    told = (action.why, action.cost and f"Cost: {action.cost}", action.changes and f"Changes: {action.changes}")
    return [f"  {as_command(action, workspace)}", *(f"      {text}" for text in told if text)]


def offered(actions: Sequence[NextAction], workspace: str) -> str:
    """Return the calls that would help after a refusal, as lines for a terminal."""
    return printable("\n".join(line for action in actions for line in _offered(action, workspace)))


def _own_fields(answer: Result) -> dict[str, JsonValue]:
    """Return what only this answer has, in the order in which its record declares it."""
    body = {key: value for key, value in as_json(answer).items() if key not in _SHARED}
    if not isinstance(answer, JobView) or answer.result is None:
        plan = body.get("plan")
        return plan if isinstance(plan, dict) else body
    declared = find(answer.capability).result.model_fields
    return {key: answer.result[key] for key in declared if key in answer.result and key not in _SHARED}


def as_command(action: NextAction, workspace: str | None = None) -> str:
    """Return the command line that makes this call, in the workspace that its ids belong to."""
    words = ["interp-lab", action.tool, *(["--workspace", workspace] if workspace else [])]
    for name, value in action.arguments.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif value in ([], None):
            continue  # an empty list is the default, and a flag without values is an error
        elif isinstance(value, list):
            words += [flag, *(item if isinstance(item, str) else json.dumps(item) for item in value)]
        else:
            words += [flag, value if isinstance(value, str) else json.dumps(value)]
    return shlex.join(words)


def printable(text: str) -> str:
    """Return the text with control characters (but newline) made visible, so that data cannot drive a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _section(key: str, value: JsonValue) -> list[str]:
    if key == "text" and isinstance(value, str):
        return ["", value]
    if isinstance(value, list) and (rows := [item for item in value if isinstance(item, dict)]):
        return [f"\n{key}", *_table(rows)]
    if isinstance(value, dict):
        return [f"\n{key}", *(f"  {k}: {_cell(v, 200)}" for k, v in value.items())]
    return [f"  {key}: {_cell(value, 200)}"] if value not in ("", [], None) else []


def _table(rows: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    names = dict.fromkeys(key for row in rows for key in row)
    fitting = [name for name in names if all(_fits(row.get(name)) for row in rows)]
    columns = sorted(fitting, key=lambda name: any(isinstance(row.get(name), Mapping) for row in rows))[:_MAX_COLUMNS]
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    room = shutil.get_terminal_size((120, 24)).columns - 2
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()[:room] for line in cells]


def _fits(value: JsonValue) -> bool:
    return not isinstance(value, Mapping) or "value" in value


def _number(found: Mapping[str, JsonValue]) -> str:
    """Return a number that comes with its interval and sample as one cell."""
    low, high = found.get("low"), found.get("high")
    interval = "" if low is None or high is None else f" [{_cell(low)}, {_cell(high)}]"
    return f"{_cell(found['value'])}{interval}"


def _cell(value: JsonValue, width: int = _MAX_CELL) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping) and "value" in value:
        return _number(value)
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.001 or abs(value) >= 10_000 else f"{value:.3f}".rstrip("0").rstrip(".")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\n", "⏎")
    return text if len(text) <= width else text[: width - 1] + "…"


class ProgressLine:
    """One line on a terminal that shows how far a job is; silent when the stream is not a terminal."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._shown = False

    def __call__(self, progress: JobProgress | None) -> None:
        """Draw the progress over the last one."""
        if progress is None or not self._stream.isatty():
            return
        self._shown = True
        share = progress.done / progress.total if progress.total else 0.0
        bar = "█" * round(24 * share) + "░" * (24 - round(24 * share))
        eta = f" {progress.eta_s:.0f} s left of this step" if progress.eta_s is not None else ""
        self._stream.write(f"\r\x1b[K{bar} {share:4.0%} {printable(progress.message)[:60]}{eta}")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
