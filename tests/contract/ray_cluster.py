"""A Ray cluster of two nodes here, in a process of its own: prints its address, then obeys lines of stdin."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from typing import Any

import psutil

_VARIABLES = {
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_gcs_rpc_server_connect_timeout_s": "600",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_py_gcs_connect_timeout_s": "600",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "300000",
    "RAY_health_check_failure_threshold": "3",
}
"""A slow machine may take its time to start and to answer; a node that is gone refuses, which is noticed in seconds.

Ray would let tasks give way to all other work of the machine.
"""


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_tree(pids: list[int]) -> None:
    """Kill processes and everything below them: a node that is gone leaves no process behind."""
    found = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    for process in [*found, *(child for one in found for child in one.children(recursive=True))]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def main() -> None:
    """Run until stdin is closed.

    The line 'kill' kills the raylet of the second node and all that runs under it, 'add' adds one with two processors.
    """
    os.environ |= _VARIABLES
    answers, sys.stdout = sys.stdout, sys.stderr
    from ray.cluster_utils import Cluster  # lazy: after the variables that it reads

    folder = tempfile.mkdtemp(prefix="lab-ray-")  # short: sockets lie in it
    # no shared memory, which is small in many containers; a container with little memory is as good as another
    small: dict[str, Any] = {"object_store_memory": 80 * 2**20, "memory": 2**30, "num_gpus": 0, "num_cpus": 1}
    small |= {"plasma_directory": folder, "include_log_monitor": False}
    port = free_port()
    ports = {"dashboard_port": port, "gcs_server_port": free_port(), "dashboard_agent_listen_port": free_port()}
    head = small | ports | {"include_dashboard": True, "temp_dir": folder, "no_monitor": True}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**small)
    cluster.wait_for_nodes(600)
    print(json.dumps({"address": f"http://127.0.0.1:{port}"}), file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            kill_tree([one.process.pid for several in second.all_processes.values() for one in several])
            cluster.remove_node(second, allow_graceful=False)
            print("killed", file=answers, flush=True)
        if line.strip() == "add":
            cluster.add_node(**small | {"num_cpus": 2})
            print("added", file=answers, flush=True)
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
