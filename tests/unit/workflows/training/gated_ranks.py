"""The program of processes that train together; the first waits in a step as long as a file is there, and says so.

So a test does something to them while they are at work, however fast or slow they or the test run. All of them compute
matrix products in one way: which of two is faster on a busy machine is a matter of chance, and the last bits go by it.
"""

from __future__ import annotations

import sys
import time

from interp_lab.engine import precision
from interp_lab.jobs.rankrun import RankRun
from interp_lab.workflows import train_together

GATE = "gate"
_WAIT_S = 900.0
"""The test may have failed long ago."""


class GatedRun(RankRun):
    """A run that waits where it says how far it is, and still hears that it is to end."""

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        super().progress(done, total, message, unit)
        deadline = time.monotonic() + _WAIT_S
        while self._leads and message.startswith("step ") and (self.workspace / GATE).exists():
            assert time.monotonic() < deadline
            self.folder.progress.write(self._pace.report(done, total, message, unit))
            self.check()
            time.sleep(0.05)


def one_way() -> precision.MatmulPrecision:
    """Return what stands for the choice between two ways."""
    return precision.MatmulPrecision(mode="default", relative_error=0.0, speedup=1.0)


if __name__ == "__main__":
    train_together.RankRun, precision.probe_matmul = GatedRun, one_way
    sys.exit(train_together.main())
