"""The worker of the lab with buffers and shards so small that a short harvest has many: for tests of interruptions."""

from __future__ import annotations

import sys

from interp_lab.workflows.harvesting import record, stretches
from interp_lab_server.worker import main

BUFFER_BYTES = 2**20
SHARD_BYTES = 2**19

if __name__ == "__main__":
    stretches.BUFFER_BYTES = BUFFER_BYTES
    record.SHARD_BYTES = SHARD_BYTES
    sys.exit(main())
