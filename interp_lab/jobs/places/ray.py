"""A Ray cluster that sees the same workspace, through its Jobs API: plain HTTP, so that nothing here imports Ray.

A task is a Ray job with one process. When its node dies, Ray calls the job failed, and its part is done again.
A task on several nodes is a Ray job that takes them all at once and starts one process on each (`parts.ray_nodes`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from interp_lab.errors import ClusterUnavailable
from interp_lab.jobs.environment import hub, quiet
from interp_lab.jobs.places.base import ANSWER_S, CLUSTER_LAG_S, Problem, Task, TaskState, logged
from interp_lab.settings import Settings

_STATES: Mapping[str, TaskState] = {"PENDING": "waiting", "RUNNING": "running"}
_PATIENCE_S = 30.0
_NOT_FOUND = 404


class RayPlace:
    """Tasks as jobs of a Ray cluster."""

    detached = True
    interval_s = 1.0
    lag_s = CLUSTER_LAG_S

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._api = _Api(settings.ray_address)

    def room(self, wanted: int, under_way: int) -> int:
        """Return how many more tasks the operator lets one job have in the cluster."""
        return max(0, min(wanted, self._settings.cluster_tasks - under_way))

    def start(self, task: Task) -> str:
        """Submit a task; its own name is its handle, and Ray takes no name twice.

        Raises:
            ClusterUnavailable: The cluster did not take it.
        """
        cpus = str(self._settings.task_cpus)
        environment = quiet() | hub(self._settings) | self._settings.to_env()
        body: dict[str, Any] = {
            "submission_id": task.name,
            "runtime_env": {"env_vars": environment | {"OMP_NUM_THREADS": cpus, "MKL_NUM_THREADS": cpus}},
            **(self._one(task) if task.nodes == 1 else self._several(task)),
        }
        try:
            self._api.call("POST", "/api/jobs/", body)
        except (OSError, HTTPException, ValueError) as error:
            raise ClusterUnavailable(f"Ray did not take {task.name}: {_in_words(error)}") from error
        return task.name

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        """Return how Ray jobs stand; a cluster that does not answer for one of them is not asked about the others."""
        states: dict[str, TaskState] = dict.fromkeys(handles, "unknown")
        for handle in handles:
            states[handle] = self._state(handle)
            if states[handle] == "unknown":
                break
        return states

    def stop(self, handle: str, *, force: bool) -> None:
        """Stop a Ray job: Ray itself asks first and kills after three seconds."""
        del force
        try:
            self._api.call("POST", f"/api/jobs/{handle}/stop", {})
        except (OSError, HTTPException, ValueError):
            return  # it has ended, or the cluster does not answer: the task itself sees the cancel file

    def close(self) -> None:
        """Nothing is held here."""

    def _needs(self, task: Task) -> tuple[int, int]:
        """Return the processors and accelerators of a task on each of its nodes."""
        return self._settings.task_cpus * task.processes, task.processes if task.slot == "gpu" else 0

    def _one(self, task: Task) -> dict[str, Any]:
        cpus, gpus = self._needs(task)
        return {"entrypoint": logged(self._settings, task), "entrypoint_num_cpus": cpus, "entrypoint_num_gpus": gpus}

    def _several(self, task: Task) -> dict[str, Any]:
        """Return a job that needs nothing itself: what it starts on the nodes does."""
        cpus, gpus = map(str, self._needs(task))
        command = (
            *(self._settings.worker()[0], "-P", "-m", "interp_lab.jobs.parts.ray_nodes"),
            *("--nodes", str(task.nodes), "--cpus", cpus, "--gpus", gpus, "--part", str(task.folder)),
            logged(self._settings, task),
        )
        return {"entrypoint": f"exec {shlex.join(command)} >> {shlex.quote(str(task.log))} 2>&1"}

    def _state(self, handle: str) -> TaskState:
        try:
            found = self._api.call("GET", f"/api/jobs/{handle}")
        except HTTPError as error:
            return "ended" if error.code == _NOT_FOUND else "unknown"
        except (OSError, HTTPException, ValueError):
            return "unknown"
        return _STATES.get(str(found.get("status")), "ended")


class _Api:
    """Calls of one cluster's API."""

    def __init__(self, address: str, patience_s: float | None = None) -> None:
        self._address = address.rstrip("/")
        self._patience_s = _PATIENCE_S if patience_s is None else patience_s

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer; raises URLError (an OSError), HTTPException or ValueError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self._address + path, data=data, method=method, headers=headers)  # noqa: S310  # http, by Settings
        with urlopen(request, timeout=self._patience_s) as answer:  # noqa: S310  # http or https, as Settings has checked
            value: object = json.load(answer)
        return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what keeps jobs from running on Ray."""
    try:
        _Api(settings.ray_address, ANSWER_S).call("GET", "/api/version")
    except (OSError, HTTPException, ValueError) as error:
        yield Problem(
            f"{settings.ray_address} does not answer: {_in_words(error)}",
            "Start a head with its dashboard (ray[default]; ray start --head) and set INTERP_LAB_RAY_ADDRESS.",
        )


def _in_words(error: BaseException) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.read(300).decode('utf-8', 'replace')}"
    return str(error.reason) if isinstance(error, URLError) else str(error)
