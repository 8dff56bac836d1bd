"""Measure what a host pays for this MCP server and for its peer: start, memory, tool list, an answer during work.

`python benchmarks/server/bench.py` prints the figures; the last line is one JSON object. The peer (PyPI interp-lab
3.1.0) runs in an environment of its own, INTERP_LAB_PEER_PYTHON or one that is made in the user's cache folder.
CPU seconds are those of the server process until the answer to tools/list has arrived; wall time is only shown.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple, Self

PEER = "interp-lab==3.1.0"
RUNS = 5
READY_CPU_S, RSS_MB, LIST_KB = 1.5, 80.0, 48.0
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
DEADLINE_S = 300.0


class Start(NamedTuple):
    """One cold start, up to the answer to tools/list."""

    cpu_s: float
    wall_s: float
    rss_mb: float
    list_bytes: int
    n_tools: int
    complete: int
    """Tools that also have a title, an output schema and annotations."""


class Server:
    """A server process in a folder, spoken to in raw lines."""

    def __init__(self, command: Sequence[str], folder: str) -> None:
        pipe = subprocess.PIPE
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        self._answers: Queue[tuple[float, bytes]] = Queue()
        self._seen: dict[int | None, tuple[float, bytes]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        self.send(1, "initialize", HELLO)
        self.wait(1)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, request_id: int, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a request."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, request_id: int) -> tuple[float, bytes]:
        """Return when the answer to a request came, and its line."""
        while request_id not in self._seen:
            at, line = self._answers.get(timeout=DEADLINE_S)
            self._seen[json.loads(line).get("id")] = at, line
        return self._seen.pop(request_id)

    def ask(self, request_id: int, method: str, params: Mapping[str, Any] | None = None) -> bytes:
        """Send a request and return the line of its answer."""
        self.send(request_id, method, params)
        return self.wait(request_id)[1]

    def cpu_s(self) -> float:
        """Return the CPU seconds of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def rss_mb(self) -> float:
        """Return the memory of the process now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip():
                self._answers.put((time.monotonic(), line))


def start(command: Sequence[str]) -> Start:
    """Return what one cold start costs."""
    with tempfile.TemporaryDirectory() as folder, Server(command, folder) as server:
        line = server.ask(2, "tools/list")
        cpu_s, wall_s, rss_mb = server.cpu_s(), time.monotonic() - server.started, server.rss_mb()
    tools = json.loads(line)["result"]["tools"]
    complete = sum(all(tool.get(key) for key in ("title", "outputSchema", "annotations")) for tool in tools)
    return Start(cpu_s, wall_s, rss_mb, len(json.dumps(tools, separators=(",", ":"))), len(tools), complete)


def busy_answer_s(command: Sequence[str], call: Mapping[str, Any]) -> float:
    """Return the seconds until a ping is answered that was sent just after a long call."""
    with tempfile.TemporaryDirectory() as folder, Server(command, folder) as server:
        server.send(3, "tools/call", call)
        time.sleep(0.5)
        sent = time.monotonic()
        server.send(4, "ping")
        answered = server.wait(4)[0]
        _stop(server, json.loads(server.wait(3)[1]))
    return answered - sent


def _stop(server: Server, answer: Mapping[str, Any]) -> None:
    """Cancel the job that a call may have left running, and wait for its end."""
    view = answer.get("result", {}).get("structuredContent", {})
    if view.get("state") in {"queued", "starting", "running"}:
        for request_id, tool in enumerate(("job_cancel", "job_wait"), start=5):
            server.ask(request_id, "tools/call", {"name": tool, "arguments": {"job_id": view["job_id"]}})


def best(command: Sequence[str]) -> Start:
    """Return the least of each cost over several cold starts."""
    runs = [start(command) for _ in range(RUNS)]
    return Start(*(min(values) for values in zip(*runs, strict=True)))


def peer_python() -> str:
    """Return the interpreter of the peer's environment, made if it is not there."""
    given = os.environ.get("INTERP_LAB_PEER_PYTHON")
    if given:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = cache / "interp-lab-bench" / PEER / "bin" / "python"
    if not python.is_file():
        venv.create(python.parents[1], with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PEER], check=True)
    return str(python)


def show(name: str, measured: Start, busy_s: float) -> None:
    """Print one line of figures."""
    print(
        f"{name:5} ready {measured.cpu_s:5.2f} CPU-s ({measured.wall_s:5.2f} s wall)  RSS {measured.rss_mb:5.1f} MB  "
        f"tools {measured.n_tools:2} ({measured.complete:2} with title, output schema and annotations)  "
        f"list {measured.list_bytes / 1000:5.1f} kB  ping during a long call {busy_s * 1000:9.1f} ms"
    )


def main() -> int:
    """Return 0 if the targets are met."""
    ours = [str(Path(sys.executable).with_name("interp-lab")), "serve"]
    theirs = [str(Path(peer_python()).with_name("interp-lab")), "mcp"]
    our_start, their_start = best(ours), best(theirs)
    inspect = {"model": "builtin:pocket-llama", "criterion": "dates", "dataset": "builtin:date-or-month", "wait_s": 2}
    our_busy = statistics.median(busy_answer_s(ours, {"name": "inspect", "arguments": inspect}) for _ in range(3))
    calibrate = {"out": "calibration.json", "seeds": 20}
    their_busy = busy_answer_s(theirs, {"name": "calibrate", "arguments": calibrate})
    show("ours", our_start, our_busy)
    show("peer", their_start, their_busy)
    targets_met = (
        our_start.cpu_s <= READY_CPU_S and our_start.rss_mb <= RSS_MB and our_start.list_bytes <= LIST_KB * 1000
    )
    ratios = {
        f"{PEER}/ready_cpu_s": round(their_start.cpu_s / our_start.cpu_s, 3),
        f"{PEER}/rss": round(their_start.rss_mb / our_start.rss_mb, 3),
        f"{PEER}/list_bytes_per_tool": round(
            (their_start.list_bytes / their_start.n_tools) / (our_start.list_bytes / our_start.n_tools), 3
        ),
        f"{PEER}/ping_during_a_long_call": round(their_busy / our_busy, 1),
    }
    figures = {"ours": our_start._asdict(), "peer": their_start._asdict(), "ping_s": [our_busy, their_busy]}
    equal = our_start.complete == our_start.n_tools
    print(
        json.dumps(
            {"bench": "server", "ratios": ratios, "equal": equal, "targets_met": targets_met, "figures": figures}
        )
    )
    return 0 if targets_met and equal else 1


if __name__ == "__main__":
    sys.exit(main())
