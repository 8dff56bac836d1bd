"""One torchrun on this machine: started in a session of its own, asked to end, and nothing of it left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from interp_lab.errors import WorkerKilled
from interp_lab.jobs.nodes import Meeting
from interp_lab.jobs.processes import kill_leftovers
from interp_lab.jobs.rankrun import OWNER

_GONE_S = 30.0
_MEET_S = 900
"""Seconds in which all machines have to come: a network file system may show the word of the first a minute late."""
_TORCHRUN = ("-m", "torch.distributed.run", "--max-restarts", "0")
_INTERFACE = "GLOO_SOCKET_IFNAME"


def start_alone(module: str, arguments: Sequence[str], n: int) -> subprocess.Popen[bytes]:
    """Start `n` processes that find each other on this machine."""
    return _started(("--standalone", "--nproc-per-node", str(n), "-m", module, *arguments), {})


def start_with_others(meeting: Meeting, index: int) -> subprocess.Popen[bytes]:
    """Start the share of machine `index`; the first process of the first machine is the first of all."""
    where = (
        *("--nnodes", str(meeting.nodes), "--node-rank", str(index), "--rdzv-backend", "static"),
        *("--master-addr", meeting.host, "--master-port", str(meeting.port), "--rdzv-conf", f"timeout={_MEET_S}"),
    )
    found = None if _INTERFACE in os.environ else interface_towards(meeting.host)
    return _started(
        (*where, "--nproc-per-node", str(meeting.n), "-m", meeting.module, *meeting.arguments),
        {} if found is None else {_INTERFACE: found},
    )


def _started(arguments: Sequence[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # this interpreter with arguments of ours
        [sys.executable, *_TORCHRUN, *arguments],
        stdin=subprocess.DEVNULL,
        env=os.environ | variables | {OWNER: str(os.getpid())},
        start_new_session=True,
    )


def interface_towards(host: str) -> str | None:
    """Return the name of the network interface from which this machine reaches a host, or None if it cannot be told.

    Left to itself, gloo takes the one that the machine's own name stands for, which is often the loopback.
    """
    import psutil  # lazy: only work over several machines needs it

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # nothing is sent
            own = str(probe.getsockname()[0])
    except OSError:
        return None
    named = psutil.net_if_addrs().items()
    return next((name for name, found in named if any(one.address.partition("%")[0] == own for one in found)), None)


def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End what still runs: torchrun hands the wish on, and the first process keeps its work."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def bury() -> None:
    """Wait until no process of this one's torchrun is left, also none whose torchrun was killed.

    Raises:
        WorkerKilled: One cannot be ended; another group beside it would write the same files.
    """
    if not kill_leftovers(str(os.getpid()), variable=OWNER, within_s=_GONE_S):
        raise WorkerKilled(f"Processes that train together were there {_GONE_S:.0f} s after they were killed.")
