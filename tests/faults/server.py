"""A server reduced to its heartbeat: ticks until it is killed, ends in order on SIGTERM, stands still on SIGUSR1."""

from __future__ import annotations

import os
import signal
import sys
import threading

from interp_lab.jobs.engine import JobEngine
from interp_lab.settings import Settings


def main(tick_s: float) -> None:
    stop, pause = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: pause.set())
    engine = JobEngine(Settings.from_env())
    while not stop.wait(tick_s):
        engine.tick()
        if pause.is_set():
            os.kill(os.getpid(), signal.SIGSTOP)
    engine.close()


if __name__ == "__main__":
    main(float(sys.argv[1]))
