"""The worker with small buffers and shards that, once a shard is on disk, waits while a file 'hold' is there."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from interp_lab.jobs.parts.program import PART_FLAG
from interp_lab.jobs.places.ray import RayPlace
from interp_lab_server.worker import main

if TYPE_CHECKING:
    from interp_lab.workflows.harvesting.reading import Reading
    from interp_lab.workflows.harvesting.stretches import Stretch

_HELD_S = 900.0
"""The test may have failed long ago."""


def hold_shards() -> None:
    """Let harvests have small shards, and wait once one is on disk for as long as the file is there."""
    from interp_lab.workflows.harvesting import record, stretches  # lazy: an attendant needs no torch
    from interp_lab.workflows.harvesting.reading import Reading  # lazy: likewise
    from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES  # lazy: likewise

    plain = Reading._read

    def read_unless_held(reading: Reading, stretch: Stretch) -> None:
        deadline, hold = time.monotonic() + _HELD_S, reading.run.workspace / "hold"
        while time.monotonic() < deadline and reading.writer.finished_rows and hold.exists():
            reading.run.check()
            time.sleep(0.05)
        plain(reading, stretch)

    stretches.BUFFER_BYTES, record.SHARD_BYTES = BUFFER_BYTES, SHARD_BYTES
    Reading._read = read_unless_held


def look_often() -> None:
    """Let Ray be asked often: one machine's own disk shows at once what was written."""
    RayPlace.lag_s, RayPlace.interval_s = 1.0, 0.2


if __name__ == "__main__":
    look_often()
    if PART_FLAG in sys.argv:
        hold_shards()
    sys.exit(main())
