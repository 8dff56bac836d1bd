"""Overview: what this lab holds, can do and will not do; the first call of any agent."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobId, JobProgress, JobState
from interp_lab.contracts.results import Result

Section = Literal["models", "datasets", "capabilities", "jobs", "artifacts", "limits", "versions"]


class OverviewRequest(Contract):
    """Which parts of the overview to give; all of them when left out."""

    sections: tuple[Section, ...] = ()
    """Parts wanted; empty means all, each in short form."""


class ModelEntry(Contract):
    """A model that can be named in a request."""

    id: str
    architecture: str
    n_layers: NonNegativeInt
    d_model: NonNegativeInt
    context: NonNegativeInt
    """Longest prompt in tokens."""
    bytes: NonNegativeInt


class DatasetEntry(Contract):
    """A dataset in the box."""

    name: str
    criterion: str
    n_prompts: NonNegativeInt
    pooling: str
    """Pooling that suits it."""
    caution: str = ""
    """What is wrong with it, if something is wrong on purpose."""


class CapabilityEntry(Contract):
    """A capability of the catalogue, and whether this server offers it."""

    name: str
    title: str
    toolset: str
    execution: Literal["inline", "job"]
    offered: bool


class JobEntry(Contract):
    """A job in one line."""

    job_id: JobId
    capability: str
    label: str
    state: JobState
    progress: JobProgress | None = None


class Limits(Contract):
    """What this lab will not exceed."""

    cpu_slots: NonNegativeInt
    gpu_slots: NonNegativeInt
    queued_jobs_max: NonNegativeInt
    prompts_inline_max: NonNegativeInt
    prompts_max: NonNegativeInt
    file_bytes_max: NonNegativeInt
    answer_chars_max: NonNegativeInt
    free_disk_bytes: NonNegativeInt
    offline: bool
    trust_remote_code: bool
    worker_ready: bool
    """The worker's Python has torch and transformers."""


class Versions(Contract):
    """What is running, so that an agent can tell one build from another."""

    interp_lab: str
    code_version: str
    """Hash over the source files of this build."""
    python: str
    packages: dict[str, str]
    server_uptime_s: NonNegativeFloat


class OverviewResult(Result):
    """What this lab holds, can do and will not do."""

    workspace: str
    models: tuple[ModelEntry, ...] | None = None
    datasets: tuple[DatasetEntry, ...] | None = None
    capabilities: tuple[CapabilityEntry, ...] | None = None
    jobs: tuple[JobEntry, ...] | None = None
    recent_artifacts: tuple[ArtifactRef, ...] | None = None
    limits: Limits | None = None
    versions: Versions | None = None
