"""A client that submits over shared keys and now and then cancels; prints what it saw as JSON."""

from __future__ import annotations

import json
import random
import sys
import time

from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings


def main(seed: int, submits: int, keys: int, cancels: float, book: str) -> None:
    rng = random.Random(seed)
    engine = JobEngine(Settings.from_env())
    seconds: list[float] = []
    jobs: dict[int, list[str]] = {}
    for _ in range(submits):
        key = rng.randrange(keys)
        spec = JobSpec(capability="count", request={"steps": 2, "pad": key, "book": book})
        begun = time.monotonic()
        job = engine.submit(spec, request_key=f"key-{key}")
        seconds.append(time.monotonic() - begun)
        jobs.setdefault(key, []).append(job.id)
        if rng.random() < cancels:
            engine.cancel(job.id)
    engine.close()
    sys.stdout.write(json.dumps({"seconds": seconds, "jobs": jobs}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
