"""The run of one part: progress and checkpoints in the part's folder, artifacts staged until the job takes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from interp_lab.artifacts.durable import disk_full_as_error, make_durable_folder
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import Sealed
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.pace import Pace
from interp_lab.jobs.parts.record import PartFolder, StagedArtifact
from interp_lab.jobs.run import Run, metrics_line
from interp_lab.jobs.spec import StoredSpec
from interp_lab.jobs.stop import StopSign


class PartRun(Run):
    """One try at a part, from the inside."""

    def __init__(
        self, paths: WorkspacePaths, stored: StoredSpec, part: PartFolder, *, number: int, clock: Clock, stop: StopSign
    ) -> None:
        super().__init__(job_id=stored.id, attempt=number, seed=stored.spec.seed, workspace=paths.workspace)
        self.code_version = stored.spec.code_version
        kept = ("capability", "request", *(("investigator",) if stored.spec.investigator else ()))
        self.spec = {name: value for name, value in asdict(stored.spec).items() if name in kept}
        self.sealed: list[StagedArtifact] = []
        """Artifacts that are complete, in order."""
        self.part = part
        self.number = number
        self._job = JobFolder(paths, stored.id)
        self._stop = stop
        self._pace = Pace(number, clock)
        self._latest: dict[str, object] | None = None
        self._writing = threading.Lock()

    @property
    def gathered(self) -> Path:
        """Checkpoint folder of the job: the lead writes it, shards only read it."""
        return self._job.checkpoint

    @property
    def output(self) -> Path:
        """Folder for what a shard makes; whole only once the shard has ended."""
        self.part.output.mkdir(parents=True, exist_ok=True)
        return self.part.output

    @property
    def checkpoint_dir(self) -> Path:
        """Of the lead the job's own folder, of a shard one of its own."""
        folder = self.gathered if self.part.name.shard is None else self.part.checkpoint
        with disk_full_as_error(folder.parent):
            make_durable_folder(folder)
        return folder

    def check(self) -> None:
        """Raise CancelledJob or InterruptedJob if the part is to stop."""
        self._stop.check()

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Say how far the part is; see `Run.progress`."""
        latest = self._pace.report(done, total, message, unit)
        with self._writing:
            self._latest = latest
        if self._pace.due():
            self.flush_progress()
        self._stop.check()

    def flush_progress(self) -> None:
        """Write the latest progress if it is not written yet; safe to call from another thread."""
        with self._writing:
            if self._latest is not None:
                self.part.write_progress(self._latest)
                self._latest = None

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append to metrics.jsonl in the job's folder."""
        self._job.append_metrics(metrics_line(step, values))

    def _staging(self) -> Path:
        return self.part.staging(self.number) / str(len(self.sealed) + 1)

    def _sealed(self, artifact: Sealed) -> None:
        manifest: dict[str, object] = json.loads(artifact.manifest.canonical)
        folder = artifact.folder.relative_to(self.part.path).as_posix()
        self.sealed.append(StagedArtifact.model_validate({"folder": folder, "manifest": manifest}))
