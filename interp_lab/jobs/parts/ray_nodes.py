"""A program that runs in a Ray cluster: one process on each of several nodes, all at once, and all gone when one is.

Nodes are taken together (a placement group, one bundle on each), so that two jobs never wait for each other's half.
When this program ends, Ray frees them, and what was started there ends with the process that started it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from interp_lab.jobs.nodes import ADDRESS, GROUP, INDEX
from interp_lab.jobs.parts.record import PartFolder, PartName

_BEAT_S = 2.0


def run_here(command: str, variables: dict[str, str]) -> int:
    """Return the exit status of a shell command; runs on a node."""
    return subprocess.run(["sh", "-c", command], env=os.environ | variables, check=False).returncode  # noqa: S603, S607  # ours


class Waiting:
    """Gives a part's signs of life until its program does: nodes may take as long to come as a queue takes."""

    def __init__(self, ray: Any, part: PartFolder, nodes: int) -> None:
        self._ray = ray
        self._part = part
        self._said = f"waiting for {nodes} nodes that are free at once"
        self._beats = 0
        self._beat()

    def _beat(self) -> None:
        self._beats += 1
        self._part.beat(-self._beats)  # a program counts upwards

    def first_of(self, tasks: list[Any]) -> tuple[Any, list[Any]]:
        """Return what the first task that ends returns, and the others."""
        while not (found := self._ray.wait(tasks, timeout=_BEAT_S))[0]:
            if self._part.pulse() == str(-self._beats):
                self._part.progress.write({"message": self._said})
                self._beat()
        return self._ray.get(found[0][0]), found[1]


def first_bad(waiting: Waiting, tasks: list[Any]) -> int:
    """Return the first exit status that is not 0, as soon as there is one, else 0 once all have ended."""
    while tasks:
        status, tasks = waiting.first_of(tasks)
        if int(status) != 0:
            return int(status)
    return 0


def on_every_node(ray: Any, group: Any, options: argparse.Namespace, waiting: Waiting) -> Iterator[Any]:
    """Yield the running task of each node; each is told which one it is and where the first is reached."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # lazy: only a cluster has Ray

    def placed(function: Any, index: int) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
        task: Any = ray.remote(function)
        return task.options(
            num_cpus=options.cpus, num_gpus=options.gpus, max_retries=0, scheduling_strategy=strategy
        ).remote

    address, _ = waiting.first_of([placed(ray.util.get_node_ip_address, 0)()])
    told = {GROUP: uuid.uuid4().hex, ADDRESS: str(address)}
    for index in range(options.nodes):
        yield placed(run_here, index)(options.command, told | {INDEX: str(index)})


def main() -> int:
    """Return 0 if the command ended well on every node."""
    parser = argparse.ArgumentParser(prog="python -m interp_lab.jobs.parts.ray_nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, required=True, help="how many of them")
    parser.add_argument("--cpus", type=int, required=True, help="processors on each")
    parser.add_argument("--gpus", type=int, required=True, help="accelerators on each")
    parser.add_argument("--part", type=Path, required=True, help="folder of the part of a job that this is")
    parser.add_argument("command", help="what sh runs on each")
    options = parser.parse_args()

    from ray.util.placement_group import placement_group  # lazy: only a cluster has Ray

    ray: Any = import_module("ray")
    ray.init(address="auto", log_to_driver=False)
    bundle = {"CPU": options.cpus} | ({"GPU": options.gpus} if options.gpus else {})
    group: Any = placement_group([bundle] * options.nodes, strategy="STRICT_SPREAD")
    waiting = Waiting(ray, PartFolder(options.part.parent, PartName.parse(options.part.name)), options.nodes)
    waiting.first_of([group.ready()])
    return first_bad(waiting, list(on_every_node(ray, group, options, waiting)))


if __name__ == "__main__":
    sys.exit(main())
