"""The lab's worker with one way of computing matrix products, and shards of harvests that can be held.

Which of two exact ones is faster is timed, and a busy machine may change its mind between two runs that are to be
compared bit by bit. A shard of a harvest waits, once some of it is on disk, while a file `hold` is in the workspace:
so a node can be killed in the middle of it, however short it is.
"""

from __future__ import annotations

import sys

from interp_lab.engine import precision
from interp_lab.jobs.places.ray import RayPlace
from interp_lab.workflows.harvesting import record, stretches
from interp_lab.workflows.harvesting.reading import Reading
from interp_lab_server.worker import main
from tests.e2e.holding_worker import LAG_S, read_unless_held
from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES

if __name__ == "__main__":
    precision.probe_matmul = lambda: precision.MatmulPrecision(mode="default", relative_error=0.0, speedup=1.0)
    stretches.BUFFER_BYTES = BUFFER_BYTES
    record.SHARD_BYTES = SHARD_BYTES
    Reading._read = read_unless_held
    RayPlace.lag_s = LAG_S
    sys.exit(main())
