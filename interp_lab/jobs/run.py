"""What a workflow gets to work with: progress, a checkpoint folder, a seed, a log, and artifacts to fill.

`Run` is the same for a durable job and for a call straight from Python; only where things go differs.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue

from interp_lab.artifacts.checkpoints import Checkpoints
from interp_lab.artifacts.durable import replace_quickly, write_durably
from interp_lab.artifacts.writer import ArtifactWriter, Origin, Sealed

_PACKAGES = ("interp-lab-mcp", "numpy", "torch", "transformers", "safetensors", "tokenizers", "sae-lens", "nnsight")


@cache
def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that decide a result."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Run(ABC):
    """One execution of a workflow."""

    def __init__(self, *, job_id: str | None, attempt: int, seed: int, workspace: Path) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.seed = seed
        self.workspace = workspace
        """Folder that relative paths of the request are relative to."""
        self.device = "cpu"
        """Where the model runs; set it once known, every artifact records it."""
        self.code_version = ""
        self.spec: Mapping[str, JsonValue] = {}
        self.inputs: dict[str, str] = {}
        """Name → artifact id, model at revision, or content hash; every artifact records it."""
        self.log = logging.getLogger("interp_lab.job")
        self.started = datetime.now(UTC)
        self.on_record: Callable[[int, Mapping[str, float]], None] | None = None
        """Told of every line of measurements that is recorded."""
        self.artifact_ids: list[str] = []
        """Ids of the artifacts that are complete, in their order."""

    @abstractmethod
    def check(self) -> None:
        """Raise CancelledJob or InterruptedJob if the run is to stop; cheap enough for every step."""

    @abstractmethod
    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Say how far the work is; as cheap as `check`, which it includes, and written at most twice a second."""

    @abstractmethod
    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line of measurements to metrics.jsonl; a value that is not finite is named, not written."""

    def show(self, page: str) -> None:
        """Replace the page, live.html, that shows people how the work stands; nothing where nobody could look."""
        del page

    @property
    @abstractmethod
    def checkpoint_dir(self) -> Path:
        """Folder, already there, whose files a later attempt of the same job finds again."""

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints in `checkpoint_dir` that are whole or not there; the way to write one that is worth hours."""
        return Checkpoints(self.checkpoint_dir)

    @abstractmethod
    def _staging(self) -> Path:
        """Return a folder, not yet there, for the files of one more artifact."""

    @abstractmethod
    def _sealed(self, artifact: Sealed) -> None:
        """Take an artifact that is complete."""

    def artifact(self, kind: str, title: str) -> ArtifactWriter:
        """Return a context in which to write an artifact; it is published when the run ends well, or not at all."""
        return ArtifactWriter(self._staging(), kind, title, origin=self._origin, on_seal=self._seal)

    def _seal(self, artifact: Sealed) -> None:
        self.artifact_ids.append(artifact.manifest.id)
        self._sealed(artifact)

    def _origin(self) -> Origin:
        return Origin(
            job=self.job_id,
            attempt=self.attempt,
            started=self.started,
            spec=self.spec,
            inputs=self.inputs,
            code_version=self.code_version,
            package_versions=package_versions(),
            device=self.device,
            seeds={"seed": self.seed},
        )


class LocalRun(Run):
    """A run without an engine: artifacts go to `output/<kind>-<id>/`, with their manifest beside their files."""

    def __init__(self, output: Path, *, seed: int = 0, workspace: Path | None = None) -> None:
        super().__init__(job_id=None, attempt=0, seed=seed, workspace=workspace or Path.cwd())
        self._output = output
        self._count = 0
        self.written: list[Path] = []
        """Folders of the finished artifacts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._output / ".tmp", ignore_errors=True)

    @property
    def checkpoint_dir(self) -> Path:
        """Folder for checkpoints; kept, so that a second call with the same output goes on."""
        folder = self._output / "ckpt"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def check(self) -> None:
        """Do nothing: nobody but the caller can stop this run."""

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        """Write to the log."""
        self.log.debug("%s/%s %s %s", done, "?" if total is None else total, unit, message)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append to metrics.jsonl in the output folder."""
        self._output.mkdir(parents=True, exist_ok=True)
        with (self._output / "metrics.jsonl").open("ab") as file:
            file.write(metrics_line(step, values))
        if self.on_record is not None:
            self.on_record(step, values)

    def show(self, page: str) -> None:
        """Write live.html into the output folder."""
        self._output.mkdir(parents=True, exist_ok=True)
        replace_quickly(self._output / "live.html", page.encode())

    def _staging(self) -> Path:
        self._count += 1
        return self._output / ".tmp" / str(self._count)

    def _sealed(self, artifact: Sealed) -> None:
        target = self._output / f"{artifact.manifest.kind}-{artifact.manifest.id[:12]}"
        artifact.folder.rename(target)
        write_durably(target / "manifest.json", artifact.manifest.canonical)
        self.written.append(target)


def metrics_line(step: int, values: Mapping[str, float]) -> bytes:
    """Return one line of metrics.jsonl; values that are not finite are listed by name under 'non_finite'."""
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    line: dict[str, Any] = {"step": step, **finite}
    if bad := sorted(set(values) - set(finite)):
        line["non_finite"] = bad
    return json.dumps(line, allow_nan=False).encode() + b"\n"
