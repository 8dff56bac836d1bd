"""Where everything of one workspace lies: the paths below `.interp-lab`, and making them.

Ids are checked here, once, so that no id can lead to a path outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from interp_lab.artifacts.durable import make_durable_folder, write_durably
from interp_lab.errors import UnknownArtifact, UnknownJob, WorkspaceUnusable
from interp_lab.settings import Settings

ROOT_NAME = ".interp-lab"
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_ARTIFACT_ID = re.compile(r"[0-9a-f]{64}")


def is_job_id(text: str) -> bool:
    """Return whether the text has the form of a job id."""
    return _JOB_ID.fullmatch(text) is not None


def is_artifact_id(text: str) -> bool:
    """Return whether the text has the form of an artifact id, which is also that of a file hash."""
    return _ARTIFACT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class WorkspacePaths:
    """The layout of one workspace on disk."""

    workspace: Path
    """Real path of the workspace folder."""
    catalog_dir: Path
    """Folder of the catalogue and of every lock; a local disk."""

    @classmethod
    def of(cls, settings: Settings) -> WorkspacePaths:
        """Return the layout for the settings; nothing is created.

        Raises:
            WorkspaceUnusable: The workspace is not an existing folder.
        """
        workspace = settings.workspace.resolve()
        if not workspace.is_dir():
            raise WorkspaceUnusable(f"The workspace {str(workspace)!r} is not a folder.")
        catalog_dir = settings.catalog_dir.resolve() if settings.catalog_dir else workspace / ROOT_NAME
        return cls(workspace, catalog_dir)

    @property
    def root(self) -> Path:
        """The lab's own folder."""
        return self.workspace / ROOT_NAME

    @property
    def catalog(self) -> Path:
        """The SQLite file."""
        return self.catalog_dir / "catalog.sqlite"

    @property
    def slots(self) -> Path:
        """Folder of the slot locks."""
        return self.catalog_dir / "slots"

    @property
    def locks(self) -> Path:
        """Folder of the run locks when the catalogue lies elsewhere."""
        return self.catalog_dir / "locks"

    @property
    def jobs(self) -> Path:
        """Folder of the job folders."""
        return self.root / "jobs"

    @property
    def blobs(self) -> Path:
        """Folder of the immutable file contents."""
        return self.root / "blobs" / "sha256"

    @property
    def artifacts(self) -> Path:
        """Folder of the manifests."""
        return self.root / "artifacts"

    @property
    def tmp(self) -> Path:
        """Folder in which attempts write what they may publish."""
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        """Folder of what was collected and will be deleted."""
        return self.root / "trash"

    @property
    def ballast(self) -> Path:
        """File that is given up when the disk is full."""
        return self.root / "ballast"

    @property
    def gc_lock(self) -> Path:
        """Lock held shared by publishers and exclusively by the collector."""
        return self.catalog_dir / "gc.lock"

    def slot(self, name: str) -> Path:
        """Return the lock file of a slot such as 'cpu-0'."""
        return self.slots / f"{name}.lock"

    def job(self, job_id: str) -> Path:
        """Return the folder of a job.

        Raises:
            UnknownJob: The id is not one that this lab gives out.
        """
        if not is_job_id(job_id):
            raise UnknownJob(f"{job_id[:80]!r} is not a job id.")
        return self.jobs / job_id

    def run_lock(self, job_id: str) -> Path:
        """Return the lock that a live process of the job holds; see `job` for errors."""
        folder = self.job(job_id)
        return folder / "run.lock" if self.catalog_dir == self.root else self.locks / f"{job_id}.lock"

    def staging(self, job_id: str, attempt: int) -> Path:
        """Return the folder in which one attempt writes its artifacts; see `job` for errors."""
        return self.tmp / f"{self.job(job_id).name}-{attempt}"

    def blob(self, sha256: str) -> Path:
        """Return where the content with that hash lies.

        Raises:
            UnknownArtifact: The text is not a hash.
        """
        if not is_artifact_id(sha256):
            raise UnknownArtifact(f"{sha256[:80]!r} is not a content hash.")
        return self.blobs / sha256[:2] / sha256

    def artifact(self, artifact_id: str) -> Path:
        """Return the folder of an artifact's manifest.

        Raises:
            UnknownArtifact: The id is not one that this lab gives out.
        """
        if not is_artifact_id(artifact_id):
            raise UnknownArtifact(f"{artifact_id[:80]!r} is not an artifact id.")
        return self.artifacts / artifact_id

    def prepare(self) -> None:
        """Create the folders that do not exist yet.

        Raises:
            WorkspaceUnusable: The folder is read-only, not a folder, or a link that leads elsewhere.
        """
        if self.root.is_symlink():
            raise WorkspaceUnusable(f"{str(self.root)!r} is a link; the records must lie in the workspace itself.")
        folders = (self.root, self.jobs, self.blobs.parent, self.blobs, self.artifacts, self.tmp, self.trash)
        try:
            self.catalog_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (*folders, self.slots, self.locks):
                make_durable_folder(folder)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                write_durably(ignore, b"*\n")
        except OSError as error:
            what = f"The workspace {str(self.workspace)!r} cannot be written: {error.strerror}."
            raise WorkspaceUnusable(what) from error
