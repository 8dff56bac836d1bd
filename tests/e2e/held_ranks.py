# pyright: standard
"""A worker whose trainings in ranks wait after a step while there is a gate in the workspace; see `gated_ranks`."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from interp_lab.engine import precision
from interp_lab.jobs.nodes import INDEX
from interp_lab.jobs.places.ray import RayPlace
from interp_lab.jobs.places.slurm import SlurmPlace
from interp_lab.jobs.rankrun import OWNER
from interp_lab.workflows.training import ranks
from interp_lab_server.worker import main
from tests.unit.workflows.training import gated_ranks


def second_machine(workspace: Path) -> int:
    """Return the process that leads what the second machine does for a workspace."""
    for process in psutil.process_iter():
        try:
            told = process.environ()
            here = told.get(INDEX) == "1" and told.get("INTERP_LAB_WORKSPACE") == str(workspace)
            if here and OWNER not in told and "--part" in process.cmdline():
                return process.pid
        except psutil.Error:
            continue
    raise AssertionError("no second machine is at work")


if __name__ == "__main__":
    ranks._MODULE = gated_ranks.__name__
    precision.probe_matmul = gated_ranks.one_way
    RayPlace.lag_s = SlurmPlace.lag_s = 3.0  # one machine's own disk shows at once what was written
    sys.exit(main())
