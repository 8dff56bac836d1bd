"""What the lab says of the machine it runs on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from interp_lab.contracts.machine import Accelerator, Engine, Memory, Processor
from interp_lab.errors import DiskFull
from interp_lab.machine import hardware
from interp_lab.machine.cgroup import cpu_limit, memory_limit
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


def test_an_engine_is_usable_only_with_everything_it_needs() -> None:
    def found(environment: dict[str, str], *, commands: bool, packages: bool) -> dict[str, bool]:
        rows = engines(environment, lambda name: name if commands else None, lambda _: object() if packages else None)
        return {engine.name: engine.usable for engine in rows}

    nothing = found({}, commands=False, packages=False)
    assert not any(nothing.values())
    assert not found({}, commands=True, packages=False)["slurm"]
    assert found({}, commands=True, packages=True)["slurm"]
    assert not found({}, commands=False, packages=True)["ray"]
    assert found({"INTERP_LAB_RAY_ADDRESS": "http://head:8265"}, commands=False, packages=False)["ray"]


def test_the_route_over_a_cluster_says_where_jobs_run() -> None:
    environment = {"INTERP_LAB_RAY_ADDRESS": "http://head:8265", "INTERP_LAB_LAUNCHER": "ray"}
    found = tuple(engines(environment, lambda _: None, lambda _: None))
    (cluster,) = [route for route in routes(CPU, RAM, (), found) if route.name == "cluster"]
    assert cluster.available
    assert "jobs run there (launcher)" in cluster.reason


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
