"""The lab's worker with one way of computing matrix products, and shards of harvests that can be held.

Which of two exact ones is faster is timed, and a busy machine may change its mind between two runs that are to be
compared bit by bit. A shard of a harvest waits, once some of it is on disk, while a file `hold` is in the workspace:
so a node can be killed in the middle of it, however short it is.
"""

from __future__ import annotations

import os
import sys

from interp_lab.jobs.parts.program import PART_FLAG
from interp_lab.jobs.places.ray import RayPlace
from interp_lab_server.worker import main
from tests.e2e.holding_worker import hold_shards

if __name__ == "__main__":
    RayPlace.lag_s = 3.0  # one machine's own disk shows at once what was written
    if PART_FLAG in sys.argv or os.environ.get("INTERP_LAB_LAUNCHER") == "local":
        from tests.e2e.one_way_worker import one_way  # lazy: an attendant needs no torch

        hold_shards()
        one_way()
    sys.exit(main())
