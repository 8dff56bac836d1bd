"""The worker with small shards and one way of computing matrix products: which of two is faster depends on the hour."""

from __future__ import annotations

import sys

from interp_lab.engine import precision
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.workflows.harvesting import decisions, record, stretches
from interp_lab_server.worker import main
from tests.e2e.small_shards_worker import BUFFER_BYTES, SHARD_BYTES


def one_way() -> None:
    """Leave out the choice, for those who have imported it already, too."""
    found = precision.MatmulPrecision(mode="default", relative_error=0.0, speedup=1.0)
    precision.probe_matmul = decisions.probe_matmul = lambda: found


if __name__ == "__main__":
    one_way()
    stretches.BUFFER_BYTES, record.SHARD_BYTES = BUFFER_BYTES, SHARD_BYTES
    SlurmPlace.lag_s = 3.0  # one machine's own disk shows at once what was written
    sys.exit(main())
