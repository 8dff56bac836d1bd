"""What a machine is and can do: measured where it matters, and which ways of running work it has."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import AwareDatetime, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from interp_lab.contracts.base import Contract
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result

PROFILE_KIND: Final = "machine_profile"
PROFILE_FILE: Final = "profile.json"

RouteName = Literal["local_cpu", "one_gpu", "several_gpus", "cluster", "remote_api", "streamed_frontier"]


WorkName = Literal[
    "forward",
    "train_step",
    "train_dense",
    "held_out",
    "worker_start",
    "harvest_run",
    "harvest_token",
    "train_run",
    "intervene",
]
"""A token through a block of 12 d² weights; a training step of 1,024 tokens, sparse or dense; a held-out token of a
figure; what a process takes before its work begins; what a harvest takes besides its tokens, a token besides the model;
what a training takes besides its steps and figures; an intervention."""


class Processor(Contract):
    """The processor, as far as this process may use it."""

    name: str
    """As the operating system calls it."""
    cores: NonNegativeInt
    """Physical cores of the machine; 0 if it does not say."""
    usable: PositiveFloat
    """Cores that this process may use: affinity and container limits counted."""
    limited_by: Literal["machine", "affinity", "container"]
    """What sets that number."""
    features: tuple[str, ...]
    """Instruction sets that matter here: avx2, avx512f, avx512_bf16, amx_bf16, asimd, sve."""


class Memory(Contract):
    """Memory, in bytes."""

    total: NonNegativeInt
    """Of the machine, or the container's limit if that is lower."""
    available: NonNegativeInt
    """That new work could take now."""
    limited_by: Literal["machine", "container"]
    """What sets the total."""


class Disk(Contract):
    """The disk that the workspace lies on."""

    file_system: str
    """Type of the file system."""
    free: NonNegativeInt
    """Bytes free."""
    write_mb_per_s: PositiveFloat
    """Measured: 64 MiB written and made durable."""
    read_mb_per_s: PositiveFloat
    """Measured: the same bytes read back, on Linux after the page cache was asked to drop them."""


class Accelerator(Contract):
    """A device beside the processor."""

    kind: Literal["cuda", "rocm", "mps"]
    """Programming interface."""
    name: str
    """As the driver calls it."""
    memory: NonNegativeInt
    """Bytes in all."""
    free: NonNegativeInt
    """Bytes free now."""
    compute_capability: str | None = None
    """Of a CUDA device."""
    bfloat16: bool = False
    """Computes in bfloat16."""


class MeasuredRate(Contract):
    """One rate that was measured here."""

    what: Literal["matmul_fp32", "matmul_fp32_onednn", "matmul_bf16", "copy"]
    """Matrix product in float32, the same through oneDNN where it stays float32, in bfloat16; or copying memory."""
    device: str
    """Where."""
    value: PositiveFloat
    """Billions of floating-point operations, or of bytes read and written, per second: the median of repeats."""
    unit: Literal["GFLOP/s", "GB/s"]
    """Unit of the value."""
    repeats: NonNegativeInt
    """Measurements."""
    spread: NonNegativeFloat
    """Slowest over fastest, minus one: how busy the machine was."""


class WorkTime(Contract):
    """How long a piece of the lab's own work took here."""

    what: WorkName
    """Which piece."""
    device: str
    """Where."""
    sizes: tuple[NonNegativeInt, ...] = ()
    """forward: width, tokens of a text; train_step, train_dense, held_out: inputs, latents."""
    seconds: PositiveFloat
    """The median of repeats; of intervene, over what an ordinary core is said to take."""
    repeats: NonNegativeInt
    """Measurements."""
    spread: NonNegativeFloat
    """Slowest over fastest, minus one: how busy the machine was."""


class Engine(Contract):
    """Something that runs work beyond this process."""

    name: Literal["torchrun", "ray", "slurm", "modal"]
    """Which."""
    usable: bool
    """Could be used from here as it is."""
    found: str
    """What was seen, or what is missing."""


class Route(Contract):
    """One way to run the lab's work."""

    name: RouteName
    """Which."""
    available: bool
    """Everything that it needs is here."""
    reason: str
    """Why, with the numbers that decided."""
    missing: tuple[str, ...] = ()
    """What would make it available."""


class MachineProfile(Contract):
    """A machine, as plan_scale reads it; keep the file to plan for this machine from another."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema."""
    measured_at: AwareDatetime
    """When."""
    host: str
    """Name of the machine, hashed: equal profiles of one machine can be told."""
    system: str
    """Operating system and Python."""
    processor: Processor
    """Processor."""
    memory: Memory
    """Memory."""
    disk: Disk
    """Disk of the workspace."""
    accelerators: tuple[Accelerator, ...]
    """Devices that torch can use."""
    rates: tuple[MeasuredRate, ...]
    """Measured rates."""
    work: tuple[WorkTime, ...] = ()
    """How long the lab's own work takes, from short runs of it."""
    rates_at: AwareDatetime | None = None
    """When rates and work were measured; absent, with the rest."""
    libraries: dict[str, str]
    """Installed versions of what the lab can use."""
    credentials: tuple[str, ...]
    """Names of the credentials that are set; never a value."""
    engines: tuple[Engine, ...]
    """What could run work beyond this process."""
    routes: tuple[Route, ...]
    """Ways to run work, the one to use first at the top."""


class ProfileEnvRequest(JobRequest):
    """Measure this machine."""

    seconds: float = Field(default=2.0, ge=0.5, le=30.0)
    """How long to measure rates; longer is steadier on a busy machine."""
    fresh: bool = False
    """Measure rates again, even if this machine's are known."""
    work: bool = True
    """Also time short runs of the lab's own jobs, on which plans rest."""


class ProfileEnvResult(Result):
    """The machine, short enough to read; profile.json of the artifact is the same."""

    profile: MachineProfile
    """What was found and measured."""


class ProfileEnvPlan(Contract):
    """What a profile would do."""

    seconds: float
    """Measuring; starting the worker comes on top."""
    bytes_written: NonNegativeInt
    """Written to the workspace and removed again."""
