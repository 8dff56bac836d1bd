"""Says that it is about to submit, submits, and says the job's id."""

from __future__ import annotations

import sys

from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings


def main(key: str, pad: int) -> None:
    engine = JobEngine(Settings.from_env())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    request = {"steps": 1, "pad": pad}
    job = engine.submit(JobSpec(capability="count", request=request, code_version="test"), request_key=key)
    engine.close()
    sys.stdout.write(job.id + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
