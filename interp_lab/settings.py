"""What the operator decided when the process started: one frozen record, read once from INTERP_LAB_ variables.

A request can never change a setting. The variable of a field is its name in capitals behind `INTERP_LAB_`.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from interp_lab.errors import InvalidSetting

PREFIX = "INTERP_LAB_"
ALL_GPUS = PREFIX + "ALL_GPUS"
"""What the server sees, for a worker that is shown its own accelerator only and gives the others to its shards."""
LauncherName = Literal["local", "slurm", "ray"]
LAUNCHERS: tuple[LauncherName, ...] = get_args(LauncherName)
_MIB = 2**20


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_cpu_slots() -> int:
    return max(1, _usable_cpus() // 4)


def visible_gpus() -> tuple[str, ...]:
    """Return the names by which CUDA_VISIBLE_DEVICES can show each accelerator to a job, without asking a driver."""
    listed = os.environ.get(ALL_GPUS, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if listed is not None:
        return tuple(name.strip() for name in listed.split(",") if name.strip() not in {"", "-1"})
    count = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return tuple(str(index) for index in range(count))


def _default_gpu_slots() -> int:
    return len(visible_gpus())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process, and every worker it starts, may use the machine."""

    workspace: Path
    """The folder whose files an agent can name; the lab's records go to `.interp-lab` in it."""
    catalog_dir: Path | None = None
    """Local folder for the catalogue and its locks when the workspace is on a network file system."""
    read_roots: tuple[Path, ...] = ()
    """Further folders from which an agent may read, never write."""
    prompt_dirs: tuple[Path, ...] = ()
    """Folders of prompt sets and presets that every workspace may use, first come first; never written to."""
    cpu_slots: int = field(default_factory=_default_cpu_slots)
    """Jobs without an accelerator that run at once, over all servers of the workspace."""
    gpu_slots: int = field(default_factory=_default_gpu_slots)
    """Jobs with an accelerator that run at once."""
    worker_command: tuple[str, ...] = ()
    """The whole command of a worker; empty means worker_python with the packaged entry point."""
    worker_python: Path | None = None
    """Interpreter with the heavy libraries; absent means this one."""
    launcher: LauncherName = "local"
    """Where jobs run: processes of this machine (local), or a cluster that sees the same workspace (slurm, ray)."""
    ray_address: str = ""
    """Where a Ray cluster takes jobs, such as http://head:8265."""
    slurm_options: tuple[str, ...] = ()
    """What every Slurm job asks for, as sbatch spells it: partition=gpu, account=lab, time=240."""
    task_cpus: int = 1
    """Processors that each process on a cluster asks for and computes with."""
    cluster_tasks: int = 64
    """Processes that one job may have on a cluster at once."""
    exchange: str = ""
    """Object store by which shards hand over what they made, such as s3://bucket/prefix; empty: the shared folder."""
    silence_s: float = 300.0
    """Seconds without a sign of life after which a process on a cluster counts as lost."""
    trust_remote_code: bool = False
    """Whether models may bring code of their own; never a request's choice."""
    offline: bool = False
    """Whether workers may not reach the network."""
    investigator: str = ""
    """Who works through this server; runs and hypotheses carry it, so that a dossier can tell investigations apart."""
    crash_budget: int = 3
    """Crashes of one job after which it fails."""
    start_budget: int = 5
    """Starts in a row without reaching its work after which a job fails."""
    kill_grace_s: float = 10.0
    """Seconds between asking a cancelled job to stop and killing it."""
    queue_cap: int = 500
    """Waiting jobs above which a submission is refused."""
    quota_bytes: int | None = None
    """Bytes that published artifacts may take."""
    min_free_bytes: int = 512 * _MIB
    """Free disk space below which no job is accepted."""
    ballast_bytes: int = 8 * _MIB
    """Space set aside so that a full disk can still be reported."""
    log_cap_bytes: int = 50 * _MIB
    """Size of a job's log above which its middle is dropped."""
    stall_factor: float = 10.0
    """Multiple of a job's median step after which it counts as stalled."""
    stall_floor_s: float = 60.0
    """Seconds without progress below which no job counts as stalled."""

    def __post_init__(self) -> None:
        for name, low in _LOWER_BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= low):
                raise InvalidSetting(f"{name} is {value}; the smallest value is {low}.")
        if self.launcher not in LAUNCHERS:
            raise InvalidSetting(f"launcher is {self.launcher[:40]!r}; it is one of {', '.join(LAUNCHERS)}.")
        if self.launcher == "ray" and not self.ray_address.startswith(("http://", "https://")):
            raise InvalidSetting(f"ray_address is {self.ray_address[:80]!r}; Ray needs one like http://head:8265.")
        if self.exchange and not re.fullmatch(r"[a-z0-9]+://\S+", self.exchange):
            raise InvalidSetting(f"exchange is {self.exchange[:80]!r}; it is an address like s3://bucket/prefix.")
        for option in self.slurm_options:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*=[^\n]+", option):
                raise InvalidSetting(f"slurm_options has {option[:80]!r}; each is name=value, as sbatch has it.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: object) -> Settings:
        """Return the settings from INTERP_LAB_ variables; an option that is not None overrides its variable.

        The workspace defaults to CLAUDE_PROJECT_DIR, then to the current folder.

        Raises:
            InvalidSetting: A value does not parse or is out of range.
        """
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for spec in fields(cls):
            given = options.pop(spec.name, None)
            text = env.get(PREFIX + spec.name.upper())
            if given is not None:
                values[spec.name] = given
            elif text:
                values[spec.name] = _parse(spec.name, str(spec.type), text)
        if options:
            raise InvalidSetting(f"There is no setting named {sorted(options)[0]!r}.")
        values.setdefault("workspace", env.get("CLAUDE_PROJECT_DIR") or Path.cwd())
        values["workspace"] = Path(values["workspace"]).absolute()
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Return the variables from which `from_env` makes an equal record, for a worker's environment."""
        values = ((spec.name, getattr(self, spec.name)) for spec in fields(self))
        return {PREFIX + name.upper(): _render(value) for name, value in values if value is not None}

    def worker(self) -> tuple[str, ...]:
        """Return the command that starts a worker process."""
        python = str(self.worker_python or sys.executable)
        return self.worker_command or (python, "-P", "-m", "interp_lab_server.worker")

    def threads_per_slot(self) -> int:
        """Return how many threads one process of a job may compute with."""
        if self.launcher != "local":
            return self.task_cpus
        return max(1, _usable_cpus() // max(1, self.cpu_slots))


_LOWER_BOUNDS: Mapping[str, float] = {
    "cpu_slots": 0,
    "gpu_slots": 0,
    "crash_budget": 1,
    "start_budget": 1,
    "task_cpus": 1,
    "cluster_tasks": 1,
    "silence_s": 1,
    "kill_grace_s": 0,
    "queue_cap": 1,
    "quota_bytes": 0,
    "min_free_bytes": 0,
    "ballast_bytes": 0,
    "log_cap_bytes": 4096,
    "stall_factor": 1,
    "stall_floor_s": 0,
}

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _parse_strings(text: str) -> tuple[str, ...]:
    value: object = json.loads(text)
    if not _is_strings(value):
        raise ValueError(text)
    return tuple(value)


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)  # pyright: ignore[reportUnknownVariableType]


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "Path": Path,
    "str": str,
    "LauncherName": str,
    "Path | None": Path,
    "tuple[Path, ...]": lambda text: tuple(Path(item) for item in _parse_strings(text)),
    "tuple[str, ...]": _parse_strings,
    "int": int,
    "int | None": int,
    "float": float,
    "bool": lambda text: _WORDS[text.lower()],
}


def _parse(name: str, kind: str, text: str) -> object:
    try:
        return _PARSERS[kind](text)
    except (ValueError, KeyError) as error:
        raise InvalidSetting(f"{PREFIX}{name.upper()} is {text[:80]!r}, which is not of type {kind}.") from error


def _render(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps([str(item) for item in value])  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return str(value)
