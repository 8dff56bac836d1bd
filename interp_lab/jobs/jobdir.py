"""One job's folder: what the worker and the servers tell each other in files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from interp_lab.artifacts.canonical import canonical_json, sha256_hex
from interp_lab.artifacts.durable import disk_full_as_error, replace_quickly, write_durably
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.errors import DiskFull, JobFilesCorrupt
from interp_lab.jobs.job import Job
from interp_lab.jobs.progress_file import ProgressFile
from interp_lab.jobs.spec import StoredSpec, decode_spec


class JobFolder:
    """The files of one job."""

    def __init__(self, paths: WorkspacePaths, job_id: str) -> None:
        self._paths = paths
        self.job_id = job_id
        self.path = paths.job(job_id)
        self.log = self.path / "log.txt"
        self.checkpoint = self.path / "ckpt"
        self.parts = self.path / "parts"
        self.metrics = self.path / "metrics.jsonl"
        self.live = self.path / "live.html"
        self.cancel_flag = self.path / "cancel"
        self._result = self.path / "result.json"
        self._progress = ProgressFile(self.path / "progress.json")
        self._ended = self.path / "ended.json"
        self._claim = self.path / "claim.json"

    def read_spec(self, sha256: str | None) -> StoredSpec:
        """Return the spec; `sha256` is the hash that the catalogue holds, None while that is being rebuilt.

        Raises:
            JobFilesCorrupt: The file is missing or not what was written.
        """
        return decode_spec(self._read_checked(self.path / "spec.json", sha256))

    def write_result(self, result: object, artifact_ids: tuple[str, ...], attempt: int) -> str:
        """Write the result durably and return its hash."""
        data = canonical_json({"attempt": attempt, "artifacts": list(artifact_ids), "result": result})
        write_durably(self._result, data)
        return sha256_hex(data)

    def read_result(self, sha256: str | None) -> dict[str, Any]:
        """Return attempt, artifacts and result as written; see `read_spec`."""
        return self._parse(self._read_checked(self._result, sha256), "result.json")

    def result_hash(self) -> str:
        """Return the hash of the result file as it is."""
        return sha256_hex(self._result.read_bytes())

    def discard_attempt(self, attempt: int) -> tuple[str, ...]:
        """Remove what an unfinished attempt left; return the ids of artifacts that it had begun to publish."""
        artifact_ids: tuple[str, ...] = ()
        with suppress(JobFilesCorrupt):
            artifact_ids = tuple(self.read_result(None)["artifacts"])
        self._result.unlink(missing_ok=True)
        self.drop_staging(attempt)
        return artifact_ids

    def drop_staging(self, attempt: int) -> None:
        """Remove the folder in which an attempt wrote its artifacts."""
        shutil.rmtree(self._paths.staging(self.job_id, attempt), ignore_errors=True)

    def drop_parts(self) -> None:
        """Remove what parts made for others, once the job's artifacts are published; how they ended stays on record."""
        for folder in self._made_by_parts():
            shutil.rmtree(folder, ignore_errors=True)

    def has_parts(self) -> bool:
        """Return whether something is there that `drop_parts` would remove."""
        return any(True for _ in self._made_by_parts())

    def _made_by_parts(self) -> Iterator[Path]:
        for pattern in ("*/out", "*/ckpt", "*/staged-*"):
            yield from self.parts.glob(pattern)

    def write_progress(self, values: dict[str, Any]) -> None:
        """Replace the progress file; a power cut may lose it."""
        self._progress.write(values)

    def read_progress(self) -> dict[str, Any] | None:
        """Return the progress file, or None when there is none that can be read."""
        return self._progress.read() or None

    def append_metrics(self, line: bytes) -> None:
        """Add one line to the metrics."""
        with disk_full_as_error(self.path, len(line)), self.metrics.open("ab") as file:
            file.write(line)

    def write_live(self, page: str) -> None:
        """Replace the page that shows how the work stands; a power cut may lose it."""
        replace_quickly(self.live, page.encode())

    def read_live(self) -> str | None:
        """Return that page, or None where there is none yet."""
        try:
            return self.live.read_text(encoding="utf-8")
        except OSError:
            return None

    def write_claim(self, attempt: int, slots: Sequence[str]) -> None:
        """Note the attempt that is about to start and its slots; a rebuild of the catalogue needs the first of them."""
        claim = {"attempt": attempt, "slot": slots[0], "slots": [*slots]}
        replace_quickly(self._claim, json.dumps(claim).encode())

    def read_claim(self) -> dict[str, Any] | None:
        """Return the newest attempt and its slots, or None."""
        return self._read_loose(self._claim)

    def write_ended(self, job: Job) -> None:
        """Note how the job ended, for a rebuild of the catalogue; best effort, the catalogue has it already."""
        ending = {
            "state": job.state,
            "attempt": job.attempt,
            "error": None if job.error is None else job.error.model_dump(),
            "started_at": None if job.started_at is None else job.started_at.isoformat(),
            "ended_at": None if job.ended_at is None else job.ended_at.isoformat(),
            "duration_s": job.duration_s,
        }
        with suppress(OSError, DiskFull):
            write_durably(self._ended, json.dumps(ending).encode())

    def read_ended(self) -> dict[str, Any] | None:
        """Return how the job ended, or None."""
        return self._read_loose(self._ended)

    def flag_cancel(self) -> None:
        """Tell the worker that the job is cancelled; must follow the commit that says so."""
        with suppress(OSError):
            self.cancel_flag.touch()

    def _read_checked(self, path: Path, sha256: str | None) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise JobFilesCorrupt(f"{path.name} of job {self.job_id} cannot be read: {error.strerror}.") from error
        if sha256 is not None and sha256_hex(data) != sha256:
            raise JobFilesCorrupt(f"{path.name} of job {self.job_id} is not what was written.")
        return data

    def _read_loose(self, path: Path) -> dict[str, Any] | None:
        try:
            return self._parse(path.read_bytes(), path.name)
        except (OSError, JobFilesCorrupt):
            return None

    def _parse(self, data: bytes, name: str) -> dict[str, Any]:
        try:
            value: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise JobFilesCorrupt(f"{name} of job {self.job_id} is not JSON.") from error
        if not isinstance(value, dict):
            raise JobFilesCorrupt(f"{name} of job {self.job_id} is not a JSON object.")
        return cast(dict[str, Any], value)
