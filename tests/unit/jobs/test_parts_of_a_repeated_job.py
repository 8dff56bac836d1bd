"""A job that repeats another takes up its parts, but neither its handles, its deaths nor its artifacts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.clock import SystemClock
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.jobrun import JobRun
from interp_lab.jobs.ledger import Attempt
from interp_lab.jobs.parts.record import Outcome, PartFolder, PartName, Start
from interp_lab.jobs.spec import JobSpec, StoredSpec
from interp_lab.jobs.stop import StopSign
from interp_lab.settings import Settings

EARLIER, AGAIN = "0" * 31 + "1", "0" * 31 + "2"
SHARD = PartName(0, 3)


def test_a_repeated_job_counts_tries_on_but_forgets_handles_and_deaths(tmp_path: Path) -> None:
    paths = WorkspacePaths.of(Settings(workspace=tmp_path))
    paths.prepare()
    before, own = JobFolder(paths, EARLIER), JobFolder(paths, AGAIN)
    before.path.mkdir()
    own.path.mkdir()
    part = PartFolder(before.parts, SHARD)
    part.prepare()
    part.write_start(Start(number=4, handle="81", deaths=2))
    part.write_outcome(Outcome(number=4, state="done"))
    spec = JobSpec(capability="harvest", request={})
    stored = StoredSpec(id=AGAIN, spec=spec, key="k", created_at=datetime.now(UTC).isoformat(), resumes=EARLIER)
    JobRun(paths, stored, Attempt(AGAIN, 1), clock=SystemClock(), stop=StopSign(own.cancel_flag))
    taken = PartFolder(own.parts, SHARD)
    assert taken.read_start() == Start(number=4)
    assert taken.read_outcome() == Outcome(number=4, state="done")
