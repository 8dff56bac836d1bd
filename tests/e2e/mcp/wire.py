"""A client that speaks raw JSON lines to a stdio server, so that a test sees and sends exactly what is on the wire."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import counting_lab

TASKS = "io.modelcontextprotocol/tasks"
DEADLINE_S = 600.0
"""Ends a test that would never end; no test is decided by it."""


class Wire:
    """One server process and the pipe to it."""

    def __init__(self, workspace: Path, *, modern: bool = True, command: tuple[str, ...] | None = None) -> None:
        self.modern = modern
        self.noise: list[str] = []
        """Lines on standard output that are no JSON."""
        self.notifications: list[dict[str, Any]] = []
        self._ids = 0
        self._unread = b""
        self.process = subprocess.Popen(
            command or (sys.executable, counting_lab.__file__, "serve"),
            cwd=workspace,
            env={**os.environ, "PYTHONPATH": counting_lab.python_path(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        if not self.modern:
            hello = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "wire", "version": "1"},
            }
            self.ask("initialize", hello)
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def send(self, message: Mapping[str, Any] | str) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        line = message if isinstance(message, str) else json.dumps(message)
        self.process.stdin.write(line.encode("utf-8", "surrogatepass") + b"\n")
        self.process.stdin.flush()

    def post(self, method: str, params: Mapping[str, Any] | None = None, **capabilities: Any) -> int:
        """Send a request and return its id."""
        self._ids += 1
        given = dict(params or {})
        if self.modern:
            given["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": capabilities,
                **given.get("_meta", {}),
            }
        self.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": given})
        return self._ids

    def answer(self, request_id: int | str | None) -> dict[str, Any]:
        """Return the response to a request, keeping the notifications that come before it."""
        while True:
            message = self.read()
            if "method" in message:
                self.notifications.append(message)
            elif message.get("id") == request_id:
                return message

    def ask(self, method: str, params: Mapping[str, Any] | None = None, **capabilities: Any) -> dict[str, Any]:
        """Send a request and return its response."""
        return self.answer(self.post(method, params, **capabilities))

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]

    def finish(self, job_id: str) -> dict[str, Any]:
        """Wait for a job as often as a slow machine needs, and return it."""
        while True:
            view = self.call("job_wait", job_id=job_id, wait_s=45)["structuredContent"]
            if view["state"] in {"succeeded", "failed", "cancelled"}:
                return view

    def read(self) -> dict[str, Any]:
        """Return the next message."""
        while True:
            line = self._line()
            try:
                return json.loads(line)
            except ValueError:
                self.noise.append(line)

    def leave(self) -> int:
        """Close the pipe and return the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=DEADLINE_S)

    def _line(self) -> str:
        assert self.process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                raise AssertionError(f"no answer; status {self.process.poll()}; {self._last_words()}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _last_words(self) -> str:
        self.process.kill()
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()[-2000:]
