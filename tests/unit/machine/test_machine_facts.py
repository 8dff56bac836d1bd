"""What the lab says of the machine it runs on."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from interp_lab.contracts.machine import Accelerator, Engine, Memory, Processor
from interp_lab.errors import DiskFull
from interp_lab.machine import hardware
from interp_lab.machine.cgroup import cpu_limit, memory_limit, memory_used
from interp_lab.machine.reaching import Answer, ask_ray, ask_slurm
from interp_lab.machine.routes import routes
from interp_lab.machine.surroundings import credentials, engines, libraries

CPU = Processor(name="x", cores=4, usable=3.5, limited_by="container", features=())
RAM = Memory(total=2**34, available=2**33, limited_by="machine")
GPU = Accelerator(kind="cuda", name="big", memory=80 * 2**30, free=70 * 2**30, bfloat16=True)


def written(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_limits_of_both_kinds_of_container_are_read_and_no_limit_is_none(tmp_path: Path) -> None:
    second = written(tmp_path / "2", cpu_max="150000 100000\n", memory_max="1048576\n")
    assert (cpu_limit(second), memory_limit(second)) == (1.5, 1048576)
    free = written(tmp_path / "3", cpu_max="max 100000\n", memory_max="max\n")
    assert (cpu_limit(free), memory_limit(free)) == (None, None)
    first = tmp_path / "1"
    for name, text in {
        "cpu/cpu.cfs_quota_us": "50000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(text, encoding="ascii")
    assert (cpu_limit(first), memory_limit(first)) == (0.5, None)
    assert (cpu_limit(tmp_path / "none"), memory_limit(tmp_path / "none")) == (None, None)


def test_the_tightest_limit_of_a_job_or_of_a_group_above_it_counts_with_what_that_group_uses(tmp_path: Path) -> None:
    """A Slurm job on a machine without containers: the root of the tree has no limits at all."""
    job = tmp_path / "tree" / "system.slice" / "slurmstepd.scope" / "job_7" / "step_0"
    job.mkdir(parents=True)
    member = tmp_path / "cgroup"
    member.write_text("0::/system.slice/slurmstepd.scope/job_7/step_0\n", encoding="ascii")
    tree = tmp_path / "tree"
    assert (memory_limit(tree, member), cpu_limit(tree, member)) == (None, None)
    written(job, memory_max="8000", cpu_max="max 100000").joinpath("memory.current").write_text("10")
    written(job.parent, memory_max="5000", cpu_max="250000 100000").joinpath("memory.current").write_text("1200")
    written(tmp_path / "tree" / "system.slice", memory_max="9000", cpu_max="400000 100000")
    assert (memory_limit(tree, member), memory_used(tree, member)) == (5000, 1200)
    assert cpu_limit(tree, member) == 2.5


def test_a_job_under_the_first_version_is_found_by_controller(tmp_path: Path) -> None:
    member = tmp_path / "cgroup"
    member.write_text("5:cpu,cpuacct:/slurm/job_7\n4:memory:/slurm/job_7\n1:name=systemd:/x\n", encoding="ascii")
    tree = tmp_path / "tree"
    for name, text in {
        "memory/slurm/job_7/memory.limit_in_bytes": "7000",
        "memory/slurm/job_7/memory.usage_in_bytes": "70",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu/slurm/job_7/cpu.cfs_quota_us": "300000",
        "cpu/slurm/job_7/cpu.cfs_period_us": "100000",
        "cpu/slurm/cpu.cfs_quota_us": "-1",
        "cpu/slurm/cpu.cfs_period_us": "100000",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="ascii")
    assert (memory_limit(tree, member), memory_used(tree, member), cpu_limit(tree, member)) == (7000, 70, 3.0)


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../elsewhere", "0::/not/mounted/here", "0:", ":::", "\x00"])
def test_a_membership_that_leads_nowhere_leaves_the_limits_of_the_container(tmp_path: Path, text: str) -> None:
    member = tmp_path / "cgroup"
    member.write_text(text, encoding="ascii")
    tree = written(tmp_path / "tree", cpu_max="150000 100000", memory_max="1048576")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "memory.max").write_text("1")
    assert (memory_limit(tree, member), memory_used(tree, member), cpu_limit(tree, member)) == (1048576, 0, 1.5)


def test_a_container_limit_lowers_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free = hardware.processor(), hardware.memory()
    assert free[0].usable >= 1 or free[0].limited_by == "container"
    monkeypatch.setattr(hardware, "cpu_limit", lambda: 0.5)
    monkeypatch.setattr(hardware, "memory_limit", lambda: 1000)
    monkeypatch.setattr(hardware, "memory_used", lambda: 400)
    limited = hardware.processor(), hardware.memory()
    assert (limited[0].usable, limited[0].limited_by) == (0.5, "container")
    assert limited[1] == Memory(total=1000, available=600, limited_by="container")


def test_memory_is_what_the_system_says_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "memory_limit", lambda: None)
    assert hardware.memory().total == psutil.virtual_memory().total


def test_the_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    found = hardware.disk(tmp_path, "ext4")
    assert found.write_mb_per_s > 0
    assert found.free > 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> float:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hardware, "_timed_write", full)
    with pytest.raises(DiskFull):
        hardware.disk(tmp_path, "ext4")
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_told_by_name_and_never_by_value() -> None:
    assert credentials({"HF_TOKEN": "hf_secret", "AWS_ACCESS_KEY_ID": "", "PATH": "/bin"}) == ("HF_TOKEN",)


def asked(
    environment: dict[str, str], *, commands: bool = False, packages: bool = False, there: bool = True
) -> dict[str, Engine]:
    def answer(*_: object) -> Answer:
        return Answer(there, "it answers" if there else "it does not answer")

    rows = engines(
        environment,
        lambda name: name if commands else None,
        lambda _: object() if packages else None,
        slurm=answer,
        ray=answer,
    )
    return {engine.name: engine for engine in rows}


def test_an_engine_is_usable_only_with_everything_it_needs_and_says_what_it_lacks() -> None:
    address = {"INTERP_LAB_RAY_ADDRESS": "http://head:8265"}
    nothing = asked({})
    assert not any(engine.usable for engine in nothing.values())
    assert "sbatch, squeue, scancel, srun, sinfo not on the path" in nothing["slurm"].found
    assert nothing["ray"].found == "INTERP_LAB_RAY_ADDRESS is not set"
    assert "submitit is not installed" in asked({}, commands=True)["slurm"].found
    everything = asked(address, commands=True, packages=True)
    assert all(engine.usable for engine in everything.values())
    silent = asked(address, commands=True, packages=True, there=False)
    assert (silent["slurm"].usable, silent["slurm"].found) == (False, "it does not answer")
    assert (silent["ray"].usable, silent["ray"].found) == (False, "it does not answer")


def test_the_route_over_a_cluster_says_where_jobs_run_and_what_is_missing() -> None:
    environment = {"INTERP_LAB_RAY_ADDRESS": "http://head:8265", "INTERP_LAB_LAUNCHER": "ray"}
    for there in (True, False):
        found = tuple(asked(environment, there=there).values())
        (cluster,) = [route for route in routes(CPU, RAM, (), found) if route.name == "cluster"]
        assert cluster.available is there
        assert "jobs run there (launcher)" in (cluster.reason if there else cluster.missing[0])


@pytest.mark.parametrize(
    ("script", "there", "said"),
    [
        ("echo 'debug* 3'; echo 'gpu 12'", True, "2 partitions, 12 nodes up in the largest"),
        ("exit 0", False, "no node that is up"),
        ("echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1", False, "Unable to contact"),
        ("exec sleep 3600", False, "did not answer within 0 s"),
    ],
)
def test_slurm_is_reachable_only_if_its_controller_lists_nodes_in_time(
    tmp_path: Path, script: str, there: bool, said: str
) -> None:
    command = tmp_path / "sinfo"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    answer = ask_slurm(str(command), within_s=0.3 if "sleep" in script else 900.0)
    assert answer.there is there
    assert said in answer.words


def test_ray_is_reachable_only_if_it_answers_as_ray() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ray_version": "2.60.0"}' if self.path == "/api/version" else b"hello")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the signature is not ours
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        assert ask_ray(address, within_s=900) == Answer(there=True, words=f"Ray 2.60.0 answers at {address}")
        assert not ask_ray(f"{address}/elsewhere", within_s=900).there, "what answers there is not Ray"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not ask_ray(address).there
    assert "no address like" in ask_ray("head:8265").words


def test_libraries_are_told_without_importing_them() -> None:
    assert {"numpy", "mcp"} <= libraries().keys()


@pytest.mark.parametrize(
    ("devices", "cluster", "first"),
    [((), False, "local_cpu"), ((GPU,), False, "one_gpu"), ((GPU, GPU), False, "several_gpus"), ((), True, "cluster")],
)
def test_the_fastest_route_that_is_there_comes_first(
    devices: tuple[Accelerator, ...], cluster: bool, first: str
) -> None:
    listed = routes(CPU, RAM, devices, (Engine(name="slurm", usable=cluster, found="x"),))
    assert listed[0].name == first
    assert [route.available for route in listed] == sorted((route.available for route in listed), reverse=True)
    assert all(bool(route.missing) is not route.available for route in listed)
