"""A Slurm cluster that sees the same workspace: tasks go in through submitit, and squeue says how they stand.

sacct is not asked: accounting is off on many clusters, and the job's own folder knows how a task ended.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.environment import MARKER
from interp_lab.jobs.nodes import ADDRESS, GROUP, INDEX
from interp_lab.jobs.places.base import ANSWER_S, CLUSTER_LAG_S, Problem, Task, TaskState, logged
from interp_lab.settings import ALL_GPUS, Settings

COMMANDS = ("sbatch", "squeue", "scancel", "srun")
_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "RESV_DEL_HOLD"})
_RUNNING = frozenset({"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED"})
_PATIENCE_S = 60.0
_TIMED_OUT = 124
"""Exit code of `timeout`."""
_OWN = (MARKER, "CUDA_VISIBLE_DEVICES", ALL_GPUS)
"""What holds for this process only: its mark, by which it is found and killed, and the accelerators here."""
_MINUTES = 24 * 60
"""Time limit of a task for which the operator names none."""
_NODE = (
    f'{INDEX}="$SLURM_PROCID" {GROUP}="$SLURM_JOB_ID.${{SLURM_RESTART_COUNT:-0}}" {ADDRESS}="$SLURM_LAUNCH_NODE_IPADDR"'
)
"""What each of several nodes is told. srun is called on the first of them, and the first task runs there."""


class SlurmPlace:
    """Tasks as Slurm jobs of one process on each of their nodes."""

    detached = True
    interval_s = 1.0
    lag_s = CLUSTER_LAG_S

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def room(self, wanted: int, under_way: int) -> int:
        """Return how many more tasks the operator lets one job have in the queue."""
        return max(0, min(wanted, self._settings.cluster_tasks - under_way))

    def start(self, task: Task) -> str:
        """Submit a task and return Slurm's id of it.

        Raises:
            ClusterUnavailable: sbatch refused it or did not answer, or submitit is not installed.
        """
        if find_spec("submitit") is None:
            raise ClusterUnavailable(
                "submitit is not installed.",
                remedy="Install it where the server runs: pip install 'interp-lab-mcp[slurm]'.",
            )
        import submitit  # lazy: an optional package
        from submitit.helpers import CommandFunction  # lazy: an optional package

        folder = task.folder / "slurm"
        try:
            executor = _patient(submitit.SlurmExecutor)(folder=folder, python=shlex.quote(self._settings.worker()[0]))
            executor.update_parameters(**self._parameters(task))
            told = logged(self._settings, task, _NODE if task.nodes > 1 else "")
            command = CommandFunction(["sh", "-c", told], verbose=False)
            with _without(_OWN):
                job: Any = executor.submit(command)
        except (OSError, RuntimeError, ValueError, TypeError, subprocess.SubprocessError) as error:
            raise ClusterUnavailable(f"Slurm did not take {task.name}: {_last_line(error)}") from error
        return str(job.job_id)

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        """Return how Slurm jobs stand, from one call of squeue."""
        listed = _run("squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i %T")
        if listed is None:
            return dict.fromkeys(handles, "unknown")
        known = dict(line.split(maxsplit=1) for line in listed.splitlines() if len(line.split()) > 1)
        return {handle: _state(known.get(handle, "").strip()) for handle in handles}

    def stop(self, handle: str, *, force: bool) -> None:
        """Cancel a Slurm job: SIGTERM, and SIGKILL after the cluster's own grace; with `force` SIGKILL at once."""
        _run("scancel", *(["--signal=KILL", "--full"] if force else []), handle)

    def close(self) -> None:
        """Nothing is held here."""

    def _parameters(self, task: Task) -> dict[str, Any]:
        own: dict[str, Any] = {"job_name": task.name[:64], "time": _MINUTES, "nodes": task.nodes, "ntasks_per_node": 1}
        own |= {"cpus_per_task": self._settings.task_cpus * task.processes, "stderr_to_stdout": True}
        if task.slot == "gpu":
            own["gpus_per_node"] = task.processes
        if task.nodes > 1:
            own["srun_args"] = ["--kill-on-bad-exit=1"]
        own["additional_parameters"] = dict(option.split("=", 1) for option in self._settings.slurm_options)
        return own


def _patient(kind: Any) -> Any:
    """Return submitit's executor with an end to how long sbatch may take."""

    class Patient(kind):
        def _make_submission_command(self, submission_file_path: Path) -> list[str]:
            command: list[str] = super()._make_submission_command(submission_file_path)  # pyright: ignore  # no types there
            return ["timeout", f"{_PATIENCE_S:.0f}", *command]

    return Patient


@contextmanager
def _without(names: Sequence[str]) -> Generator[None]:
    """Hide variables of this process from a command that hands all of them on."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what keeps jobs from running on Slurm."""
    del settings
    if missing := [command for command in COMMANDS if shutil.which(command) is None]:
        yield Problem(f"{', '.join(missing)} not found", "Start the server on a node from which jobs can be submitted.")
    elif _run("squeue", "--noheader", within_s=ANSWER_S) is None:
        yield Problem(f"squeue does not answer within {ANSWER_S:.0f} s", "Check that slurmctld runs: scontrol ping.")
    if find_spec("submitit") is None:
        yield Problem("submitit is not installed", "pip install 'interp-lab-mcp[slurm]'")


def _state(word: str) -> TaskState:
    if word in _WAITING:
        return "waiting"
    return "running" if word in _RUNNING else "ended"


def _run(*command: str, within_s: float | None = None) -> str | None:
    """Return what a command printed, or None if it failed or did not end in time."""
    patience_s = _PATIENCE_S if within_s is None else within_s
    try:
        done = subprocess.run(  # noqa: S603  # Slurm's own commands with arguments of ours
            command, capture_output=True, text=True, timeout=patience_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _last_line(error: BaseException) -> str:
    if isinstance(error.__cause__, subprocess.CalledProcessError) and error.__cause__.returncode == _TIMED_OUT:
        return f"sbatch did not answer within {_PATIENCE_S:.0f} s."
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
