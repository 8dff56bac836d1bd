"""Serve over standard input and output, for one client that started this process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from interp_lab.settings import Settings
from interp_lab_server.guard import Wire, take_wire

if TYPE_CHECKING:
    from interp_lab_server.app import LabServer

LEAVE_S = 1.0
"""Seconds that calls in flight are given after the client has gone; a client waits two before it kills."""

_log = logging.getLogger(__name__)


def serve_stdio(settings: Settings, *, toolsets: frozenset[str], read_only: bool = False) -> int:
    """Serve until the client goes away or a signal comes; jobs go on in their own processes.

    Raises:
        WorkspaceUnusable: the workspace cannot hold a catalogue.
    """
    wire = take_wire()
    import anyio  # lazy: nothing heavy before standard output is safe

    from interp_lab_server.app import build_server  # lazy: as above
    from interp_lab_server.logs import configure_logs  # lazy: as above
    from interp_lab_tools.lab import Lab  # lazy: as above

    lab = Lab.open(settings, toolsets, read_only=read_only)
    configure_logs(lab.engine.paths.root / "logs")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    server = build_server(lab)
    _log.info("serving over stdio", extra={"event": "serving"})
    anyio.run(_serve, server, wire)
    _leave(0)


async def _serve(server: LabServer, wire: Wire) -> None:
    import anyio  # lazy: as above
    from mcp.server.stdio import stdio_server  # lazy: as above

    from interp_lab_server.lines import Incoming, Outgoing  # lazy: as above

    stdin = os.fdopen(wire.stdin, "r", encoding="utf-8", errors="replace", newline="\n", closefd=False)
    stdout = os.fdopen(wire.stdout, "w", encoding="utf-8", newline="\n", closefd=False)
    outgoing = Outgoing(anyio.wrap_file(stdout))
    incoming = Incoming(anyio.wrap_file(stdin), outgoing, _leave_soon)
    try:
        async with stdio_server(cast("Any", incoming), cast("Any", outgoing)) as (read, write):
            await server.speak(read, write)
    except* (BrokenPipeError, ConnectionError):
        _log.info("the client closed its end", extra={"event": "closed"})


def _on_signal(number: int, frame: FrameType | None) -> None:
    del frame
    _log.info("stopped by signal %s", number, extra={"event": "stopped"})
    _leave(128 + number)


def _leave_soon() -> None:
    timer = threading.Timer(LEAVE_S, _leave, args=(0,))
    timer.daemon = True
    timer.start()


def _leave(status: int) -> NoReturn:
    """End the process at once: what matters is on disk, and a thread blocked on a pipe would hold it for ever."""
    logging.shutdown()
    os._exit(status)
