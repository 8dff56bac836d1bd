"""The run of one part: progress and checkpoints in the part's folder, artifacts staged until the job takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp_lab.artifacts.durable import disk_full_as_error, make_durable_folder
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.artifacts.writer import Sealed
from interp_lab.jobs.clock import Clock
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.paced_run import PacedRun
from interp_lab.jobs.parts.record import PartFolder, StagedArtifact
from interp_lab.jobs.run import metrics_line
from interp_lab.jobs.spec import StoredSpec
from interp_lab.jobs.stop import StopSign


class PartRun(PacedRun):
    """One try at a part, from the inside."""

    def __init__(
        self, paths: WorkspacePaths, stored: StoredSpec, part: PartFolder, *, number: int, clock: Clock, stop: StopSign
    ) -> None:
        super().__init__(stored, attempt=number, workspace=paths.workspace, clock=clock, stop=stop)
        self.sealed: list[StagedArtifact] = []
        """Artifacts that are complete, in order."""
        self.part = part
        self.number = number
        self._job = JobFolder(paths, stored.id)

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

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append to metrics.jsonl in the job's folder."""
        self._job.append_metrics(metrics_line(step, values))

    def _write_progress(self, latest: dict[str, Any]) -> None:
        self.part.progress.write(latest)

    def _staging(self) -> Path:
        return self.part.staging(self.number) / str(len(self.sealed) + 1)

    def _sealed(self, artifact: Sealed) -> None:
        manifest: dict[str, object] = json.loads(artifact.manifest.canonical)
        folder = artifact.folder.relative_to(self.part.path).as_posix()
        self.sealed.append(StagedArtifact.model_validate({"folder": folder, "manifest": manifest}))
