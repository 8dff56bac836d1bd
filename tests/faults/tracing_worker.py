"""The misbehaving worker, killed the first time it comes to the n-th distinct line of the engine's own code.

The number stands in `<workspace>/die/<job id>`; it is used once. Without one, the number of lines is left there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import interp_lab
from interp_lab.jobs.environment import MARKER
from interp_lab.jobs.runner import run_claimed

sys.path.insert(0, str(Path(__file__).parent))
import worker

CODE = tuple(str(Path(interp_lab.__file__).parent / part) for part in ("jobs", "artifacts"))


class Tracer:
    """Counts distinct lines as they are first reached."""

    def __init__(self, die_at: int) -> None:
        self.die_at = die_at
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Tracer | None:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
            if len(self.seen) == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def main() -> int:
    job_id = os.environ[MARKER].partition(":")[0]
    order = Path(os.environ["INTERP_LAB_WORKSPACE"]) / "die" / job_id
    number = int(order.read_text()) if order.exists() else 0
    order.unlink(missing_ok=True)
    tracer = Tracer(number)
    sys.settrace(tracer)
    status = run_claimed(worker.execute)
    sys.settrace(None)
    if not number:
        order.with_suffix(".lines").write_text(str(len(tracer.seen)))
    return status


if __name__ == "__main__":
    sys.exit(main())
