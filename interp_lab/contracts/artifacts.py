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
    """File name, for artifact_read."""
    uri: str | None = None
    """Resource URI: the artifact's with the name behind a slash. Left out in the answers of jobs, as it follows."""
    media_type: str
    """IANA media type."""
    bytes: NonNegativeInt
    """Size."""
    sha256: str | None = None
    """Hash of the contents, 64 hexadecimal digits; left out in the answers of jobs, artifact_read has it."""


class ArtifactRef(Contract):
    """A content-addressed result of a job: its id is the hash of its manifest."""

    id: str
    """64 hexadecimal digits."""
    kind: str
    """What it is, for example 'inspect_report'."""
    title: str
    """One line for a reader."""
    uri: str
    """Resource URI of the manifest."""
    job_id: str | None
    """Job that published it."""
    created_at: AwareDatetime
    """When it was finished."""
    files: tuple[ArtifactFile, ...]
    """What it holds."""
    path: str | None = None
    """Folder with the files, relative to the workspace, for a reader on the same machine."""
