"""The run of a durable job: progress and checkpoints in the job's folder, artifacts staged until the job succeeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp_lab.artifacts.canonical import canonical_json
from interp_lab.artifacts.durable import disk_full_as_error, make_durable_folder, write_durably
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import Sealed
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.ledger import Attempt
from interp_lab.jobs.paced_run import PacedRun
from interp_lab.jobs.run import metrics_line
from interp_lab.jobs.spec import StoredSpec
from interp_lab.jobs.stop import StopSign


class JobRun(PacedRun):
    """One attempt at a job, from the inside."""

    def __init__(
        self, paths: WorkspacePaths, stored: StoredSpec, attempt: Attempt, *, clock: Clock, stop: StopSign
    ) -> None:
        super().__init__(stored, attempt=attempt.number, workspace=paths.workspace, clock=clock, stop=stop)
        self.sealed: list[Sealed] = []
        """Artifacts that are complete, in order."""
        self._paths = paths
        self._stored = stored
        self._folder = JobFolder(paths, stored.id)
        self._count = 0
        self._adopt_checkpoint()
        self.progress(0.0, None, "started")

    def _adopt_checkpoint(self) -> None:
        """Take over the checkpoint of the failed or cancelled job that this one repeats, and its parts, by renames."""
        if (earlier := self._stored.resumes) is None:
            return
        before = JobFolder(self._paths, earlier)
        _disown(before.parts)
        for source, own in ((before.checkpoint, self._folder.checkpoint), (before.parts, self._folder.parts)):
            if source.exists() and not own.exists():
                source.replace(own)

    @property
    def checkpoint_dir(self) -> Path:
        """Folder whose files a later attempt finds again."""
        with disk_full_as_error(self._folder.path):
            make_durable_folder(self._folder.checkpoint)
        return self._folder.checkpoint

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append to metrics.jsonl in the job's folder."""
        self._folder.append_metrics(metrics_line(step, values))
        if self.on_record is not None:
            self.on_record(step, values)

    def show(self, page: str) -> None:
        """Write live.html into the job's folder."""
        self._folder.write_live(page)

    def _write_progress(self, latest: dict[str, Any]) -> None:
        self._folder.write_progress(latest)

    def _staging(self) -> Path:
        self._count += 1
        return self._paths.staging(self._stored.id, self.attempt) / str(self._count)

    def _sealed(self, artifact: Sealed) -> None:
        self.sealed.append(artifact)


def _disown(parts: Path) -> None:
    """Let another job take up these parts: of the newest try of each only its number stays.

    Handles and deaths were the first job's; numbers go on, so that no two tries write to the same place.
    """
    for start in parts.glob("*/start.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):  # a damaged one counts as none when it is read
            write_durably(start, canonical_json({"number": int(json.loads(start.read_bytes())["number"])}))
