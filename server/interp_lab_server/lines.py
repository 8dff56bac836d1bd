"""The lines of a stdio connection: what can be mended is served, what cannot is answered, nothing is dropped.

The SDK ignores a line it cannot parse and its sender waits for ever. Agents do send such lines: half of an emoji
is a lone surrogate escape, which JSON allows and strict parsers refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import anyio
from mcp_types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError

_SURROGATE = re.compile("[\ud800-\udfff]")
_ID = re.compile(r'"id"\s*:\s*("(?:[^"\\]|\\.){1,100}"|-?\d{1,18})')
_EDGE = 300
"""Characters at either end of a line in which its id is looked for."""


class Outgoing:
    """Standard output shared by the SDK's writer and by refusals, a whole line at a time."""

    def __init__(self, stdout: anyio.AsyncFile[str]) -> None:
        self._stdout = stdout
        self._lock = anyio.Lock()

    async def write(self, line: str) -> None:
        """Write one line."""
        async with self._lock:
            await self._stdout.write(line)
            await self._stdout.flush()

    async def flush(self) -> None:
        """Do nothing: every line was flushed."""


class Incoming:
    """Standard input as lines that the SDK can parse."""

    def __init__(self, stdin: anyio.AsyncFile[str], outgoing: Outgoing, at_end: Callable[[], None]) -> None:
        self._stdin = stdin
        self._outgoing = outgoing
        self._at_end = at_end

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield every message; answer what is none."""
        async for line in self._stdin:
            if not line.strip():
                continue
            mended = mend(line)
            if mended is not None:
                yield mended
            else:
                await self._outgoing.write(refusal(line) + "\n")
        self._at_end()


def mend(line: str) -> str | None:
    """Return the line as a JSON-RPC message with lone surrogates replaced, or None if it is none."""
    if _is_message(line):
        return line
    try:
        again = json.dumps(_without_surrogates(json.loads(line)))
    except (ValueError, RecursionError):
        return None
    return again if _is_message(again) else None


def refusal(line: str) -> str:
    """Return the error response to a line that is no message, addressed to its id where one can be seen."""
    try:
        json.loads(line)
        code, text = INVALID_REQUEST, "The line is JSON but no JSON-RPC message."
    except (ValueError, RecursionError):
        code, text = PARSE_ERROR, "The line is not JSON that can be read."
    match = _ID.search(line[:_EDGE]) or _ID.search(line[-_EDGE:])
    request_id = json.loads(match.group(1)) if match else None
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}})


def _is_message(line: str) -> bool:
    try:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        return False
    return True


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_without_surrogates(key): _without_surrogates(item) for key, item in items}
    return value
