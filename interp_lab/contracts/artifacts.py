"""How a result points at what lies on disk."""

from __future__ import annotations

from pydantic import AwareDatetime, NonNegativeInt

from interp_lab.contracts.base import Contract

URI_SCHEME = "interp-lab"


def artifact_uri(artifact_id: str, name: str | None = None) -> str:
    """Return the resource URI of an artifact, or of one file in it."""
    base = f"{URI_SCHEME}://artifacts/{artifact_id}"
    return base if name is None else f"{base}/{name}"


def job_uri(job_id: str) -> str:
    """Return the resource URI of a job."""
    return f"{URI_SCHEME}://jobs/{job_id}"


class ArtifactFile(Contract):
    """One immutable file of an artifact."""

    name: str
    uri: str
    """Resource URI; artifact_read takes the same id and name."""
    media_type: str
    bytes: NonNegativeInt
    sha256: str


class ArtifactRef(Contract):
    """A content-addressed result of a job: its id is the hash of its manifest."""

    id: str
    """64 hexadecimal digits."""
    kind: str
    title: str
    uri: str
    job_id: str | None
    created_at: AwareDatetime
    files: tuple[ArtifactFile, ...]
    path: str | None = None
    """Folder with the manifest, relative to the workspace, for a reader on the same machine."""
