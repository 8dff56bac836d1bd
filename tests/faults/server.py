"""A server reduced to its heartbeat: ticks until it is killed, or ends in order on SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading

from interp_lab.jobs.engine import JobEngine
from interp_lab.settings import Settings


def main(tick_s: float) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    engine = JobEngine(Settings.from_env())
    while not stop.wait(tick_s):
        engine.tick()
    engine.close()


if __name__ == "__main__":
    main(float(sys.argv[1]))
