"""Overview: what this lab holds, can do and will not do; the first call of any agent."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from interp_lab.contracts.artifacts import ArtifactRef
from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobId, JobProgress, JobState
from interp_lab.contracts.prompts import SetOrigin
from interp_lab.contracts.results import Result

Section = Literal[
    "models", "datasets", "stores", "dictionaries", "capabilities", "jobs", "artifacts", "limits", "versions"
]


class OverviewRequest(Contract):
    """Which parts of the overview to give; all of them when left out."""

    sections: tuple[Section, ...] = ()
    """Parts wanted, in full; empty means all, each in short form."""


class ModelEntry(Contract):
    """A model that can be named in a request."""

    id: str
    """Name for a request."""
    architecture: str
    """Class of the model."""
    n_layers: NonNegativeInt
    """Number of blocks."""
    d_model: NonNegativeInt
    """Width of the residual stream."""
    context: NonNegativeInt | None
    """Longest prompt in tokens; absent where the model does not say."""
    bytes: NonNegativeInt
    """Size of the weights."""


class DatasetEntry(Contract):
    """A prompt set by name."""

    name: str
    """Name."""
    origin: SetOrigin = "builtin"
    """Whose folder it lies in. 'set:NAME' takes workspace before user before builtin."""
    argument: str
    """What the field 'dataset' of a request takes for exactly this one; empty if it cannot be named."""
    criterion: str
    """What its positives have."""
    n_prompts: NonNegativeInt
    """Number of prompts."""
    pooling: str | None
    """Pooling that suits it, where its preset says so."""
    caution: str = ""
    """What to know before it is used."""
    problem: str = ""
    """Why it cannot be used; empty if it can."""


class CapabilityEntry(Contract):
    """A capability of the catalogue, and whether this server offers it."""

    name: str
    """Name of the tool."""
    title: str
    """What it does."""
    toolset: str
    """Toolset that has it."""
    execution: Literal["inline", "job"]
    """Whether it answers at once or starts a job."""
    offered: bool
    """Whether this server was started with that toolset, and without --read-only if the tool changes anything."""


class JobEntry(Contract):
    """A job in one line."""

    job_id: JobId
    """Handle for the job tools."""
    capability: str
    """What is being done."""
    label: str
    """On what."""
    state: JobState
    """How it stands."""
    progress: JobProgress | None = None
    """How far it is."""


class Limits(Contract):
    """What this lab will not exceed."""

    launcher: Literal["local", "slurm", "ray"]
    """Where jobs run."""
    cpu_slots: NonNegativeInt
    """Jobs on the CPU that run at once."""
    gpu_slots: NonNegativeInt
    """Jobs on an accelerator that run at once."""
    queued_jobs_max: NonNegativeInt
    """Jobs that may wait."""
    prompts_inline_max: NonNegativeInt
    """Prompts that fit into a request."""
    prompts_max: NonNegativeInt
    """Prompts that a dataset may have."""
    file_bytes_max: NonNegativeInt
    """Size of a prompt file."""
    answer_chars_max: NonNegativeInt
    """Size of an answer; the rest is read from artifacts."""
    free_disk_bytes: NonNegativeInt
    """Free space in the workspace."""
    offline: bool
    """Whether models may not be fetched."""
    trust_remote_code: bool
    """Whether models may run code of their own; the operator's choice."""
    worker_ready: bool
    """The worker's Python has torch and transformers."""


class Versions(Contract):
    """What is running, so that an agent can tell one build from another."""

    interp_lab: str
    """Version of the distribution."""
    code_version: str
    """Hash over the source files of this build."""
    python: str
    """Interpreter and platform."""
    packages: dict[str, str]
    """Installed versions."""
    server_uptime_s: NonNegativeFloat
    """Seconds since this server started."""


class OverviewResult(Result):
    """What this lab holds, can do and will not do."""

    workspace: str
    """Folder that paths are relative to."""
    models: tuple[ModelEntry, ...] | None = None
    """Models that can be named; any hub id works as well."""
    datasets: tuple[DatasetEntry, ...] | None = None
    """Prompt sets of the box, the workspace (build_prompts writes there) and the operator's folders; in the short form
    the latest that are not in the box."""
    in_the_box: dict[str, str] | None = None
    """In the short form, sets in the box: argument to criterion, pooling that suits it, and where caution is due."""
    stores: tuple[ArtifactRef, ...] | None = None
    """The latest activation stores of this workspace."""
    dictionaries: tuple[ArtifactRef, ...] | None = None
    """The latest dictionaries of this workspace."""
    capabilities: tuple[CapabilityEntry, ...] | None = None
    """Tools of every toolset, where asked for by section."""
    toolsets: dict[str, tuple[str, ...]] | None = None
    """In the short form, tools that this server does not offer, by the toolset to start it with."""
    jobs: tuple[JobEntry, ...] | None = None
    """The latest jobs of this workspace."""
    recent_artifacts: tuple[ArtifactRef, ...] | None = None
    """The latest artifacts of this workspace."""
    limits: Limits | None = None
    """What will be refused."""
    versions: Versions | None = None
    """What is running."""
