"""The worker with small shards and one way of computing matrix products: which of two is faster depends on the hour."""

from __future__ import annotations

import sys

from interp_lab.engine import precision
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_server.worker import main
from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES

if __name__ == "__main__":
    precision.probe_matmul = lambda: precision.MatmulPrecision(mode="default", relative_error=0.0, speedup=1.0)
    stretches.BUFFER_BYTES, record.SHARD_BYTES = BUFFER_BYTES, SHARD_BYTES
    SlurmPlace.lag_s = 3.0  # one machine's own disk shows at once what was written
    sys.exit(main())
