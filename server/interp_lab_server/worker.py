"""The job process: takes the claimed job from its environment, looks its capability up and runs the handler."""

from __future__ import annotations

import sys

from interp_lab.errors import UnknownCapability
from interp_lab.jobs.run import Run
from interp_lab.jobs.runner import run_claimed
from interp_lab.jobs.spec import JobSpec
from interp_lab_tools.capability import JobCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.validate import validate


def execute(spec: JobSpec, run: Run) -> dict[str, object]:
    """Return the JSON form of the handler's result.

    Raises:
        UnknownCapability: the job was written by a build that knows other capabilities.
    """
    capability = find(spec.capability)
    if not isinstance(capability, JobCapability):
        raise UnknownCapability(f"'{spec.capability}' is not run as a job.")
    result = capability.handler(validate(capability.request, spec.request), run)
    return result.model_dump(mode="json", exclude_none=True)


def main() -> int:
    """Run the one job this process was started for and return its exit status."""
    return run_claimed(execute)


if __name__ == "__main__":
    sys.exit(main())
