"""The worker program: runs the job that a server claimed for it, or one part of a job on whichever machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from interp_lab.errors import UnknownCapability
from interp_lab.jobs.parts.attend import carry_out
from interp_lab.jobs.parts.program import PART_FLAG, Work, run_part
from interp_lab.jobs.run import Run
from interp_lab.jobs.runner import run_claimed
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.validate import validate


def find_work(spec: JobSpec) -> Work:
    """Return what is to be done for a job.

    Raises:
        UnknownCapability: the job was written by a build that knows other capabilities.
        InvalidRequest: its request is not one of this build.
    """
    capability = find(spec.capability)
    if not isinstance(capability, JobCapability):
        raise UnknownCapability(f"'{spec.capability}' is not run as a job.")
    request = validate(capability.request, spec.request)

    def whole(run: Run) -> dict[str, Any]:
        return capability.handler(request, run).model_dump(mode="json", exclude_none=True)

    processes, nodes = capability.processes(request), capability.nodes(request)
    return Work(request, whole, capability.sharding, processes, nodes)


def execute(spec: JobSpec, run: Run) -> Mapping[str, Any]:
    """Return the JSON form of the handler's result, wherever the operator has it computed."""
    return carry_out(find_work(spec), run, Settings.from_env())


def main() -> int:
    """Run what this process was started for and return its exit status."""
    if sys.argv[1:2] == [PART_FLAG]:
        return run_part(sys.argv[1:], find_work)
    return run_claimed(execute)


if __name__ == "__main__":
    sys.exit(main())
