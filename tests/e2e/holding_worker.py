"""The worker with small buffers and shards that, once a shard is on disk, waits while a file 'hold' is there."""

from __future__ import annotations

import sys
import time

from interp_lab.jobs.places.ray import RayPlace
from interp_lab.workflows.harvesting import record, stretches
from interp_lab.workflows.harvesting.reading import Reading
from interp_lab.workflows.harvesting.stretches import Stretch
from interp_lab_server.worker import main
from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES

LAG_S = 3.0
"""How long an outcome may be on its way: one machine's own disk shows at once what was written."""
_read = Reading._read


def read_unless_held(reading: Reading, stretch: Stretch) -> None:
    """Read a stretch; not before the file is gone, if something has been read."""
    deadline = time.monotonic() + 900  # the test may have failed long ago
    while time.monotonic() < deadline and reading.writer.finished_rows and (reading.run.workspace / "hold").exists():
        reading.run.check()
        time.sleep(0.05)
    _read(reading, stretch)


if __name__ == "__main__":
    stretches.BUFFER_BYTES = BUFFER_BYTES
    record.SHARD_BYTES = SHARD_BYTES
    Reading._read = read_unless_held
    RayPlace.lag_s = LAG_S
    sys.exit(main())
