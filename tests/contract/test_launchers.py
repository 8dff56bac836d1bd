"""What every launcher promises: the same tests against processes here, Slurm's commands, and two real nodes of Ray."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab.errors import InvalidSetting
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import marker
from interp_lab.jobs.job import Job
from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.jobs.places.choose import problems_of
from interp_lab.jobs.processes import kill_leftovers, marked_processes
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings
from tests.contract.clusters import RayCluster, ray_cluster, slurm_commands
from tests.contract.part_worker import HELD_AT
from tests.contract.slurm_cluster import slurm_cluster

WORKER = Path(__file__).with_name("part_worker.py")
LEAD = PartName(0)
HANGS_AFTER_S = 900.0
"""Ends a test that would never end; no test is decided by it."""


@pytest.fixture(scope="module")
def ray() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def slurmctld() -> Iterator[Path]:
    with slurm_cluster() as configuration:
        yield configuration


@pytest.fixture(
    params=[
        "local",
        "slurm",
        pytest.param("slurmctld", marks=pytest.mark.slurm),
        pytest.param("ray", marks=pytest.mark.ray),
    ]
)
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    options: dict[str, Any] = {"launcher": "slurm" if request.param == "slurmctld" else request.param}
    if request.param == "slurm":
        monkeypatch.setenv("PATH", f"{slurm_commands(tmp_path / 'slurm')}:{os.environ['PATH']}")
    if request.param == "slurmctld":
        monkeypatch.setenv("SLURM_CONF", str(request.getfixturevalue("slurmctld")))
    if options["launcher"] == "slurm":
        options["slurm_options"] = ("partition=test",)
    if request.param == "ray":
        options["ray_address"] = request.getfixturevalue("ray").address
    command = (sys.executable, "-P", str(WORKER))
    return Settings(
        workspace=workspace, worker_command=command, cpu_slots=2, gpu_slots=0, min_free_bytes=0, ballast_bytes=0,
        kill_grace_s=4, cluster_tasks=2, **options,
    )  # fmt: skip


@pytest.fixture
def engine(settings: Settings) -> Iterator[JobEngine]:
    opened = JobEngine(settings)
    yield opened
    for job in opened.list_jobs().items:
        kill_leftovers(marker(job.id, job.attempt))
    opened.close()


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "book.txt"


def submit(engine: JobEngine, book: Path, capability: str = "count", **request: Any) -> str:
    spec = JobSpec(capability=capability, request={"book": str(book), **request}, code_version="test")
    return engine.submit(spec).id


def until(engine: JobEngine, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < deadline
        engine.tick()
        time.sleep(0.05)


def finished(engine: JobEngine, job_id: str) -> Job:
    until(engine, lambda: engine.get(job_id).final)
    return engine.get(job_id)


def written(book: Path) -> list[str]:
    """Return the lines of the book, without one that is just being written."""
    return book.read_text().rpartition("\n")[0].splitlines() if book.exists() else []


@pytest.fixture
def hold(book: Path) -> Path:
    """Return a file that holds a job in its step `HELD_AT`, however slow this process is, until it is removed."""
    path = book.with_name("hold")
    path.touch()
    return path


def held(engine: JobEngine, book: Path, hold: Path) -> tuple[str, int]:
    """Return a job that counts to 12 and waits, and the process that does the counting."""
    job_id = submit(engine, book, steps=12, hold=str(hold))
    until(engine, lambda: len(written(book)) > HELD_AT)
    return job_id, int(written(book)[-1].split()[2])


def attendant_of(engine: JobEngine, job_id: str) -> int:
    """Return the process that attends to a job's parts, seen while no command that it asks the cluster by is about."""
    seen: list[int] = []

    def alone() -> bool:
        seen[:] = marked_processes(marker(job_id, 1))
        return len(seen) == 1

    until(engine, alone)
    return seen[0]


def tally(engine: JobEngine, job_id: str) -> str:
    (manifest,) = engine.artifacts_of(job_id)
    assert engine.artifacts.verify(manifest.id).ok
    return engine.artifacts.read_file(manifest.id, "tally.txt").decode()


def test_a_job_ends_with_its_result_its_artifact_and_its_log(engine: JobEngine, book: Path) -> None:
    job_id = submit(engine, book, steps=3)
    assert finished(engine, job_id).state == "succeeded", engine.logs(job_id).text
    assert (engine.result(job_id) or {})["steps"] == 3
    assert tally(engine, job_id) == "0\n1\n2\n"
    assert "step 2" in engine.logs(job_id).text


def test_a_refusal_arrives_in_its_own_words(engine: JobEngine, book: Path) -> None:
    error = finished(engine, submit(engine, book, "refuse")).error
    assert error is not None
    assert (error.code, error.what, error.remedy) == ("invalid_model", "The model is not one.", "Take another.")


def test_a_process_that_is_killed_is_replaced_by_one_that_goes_on_from_the_checkpoint(
    engine: JobEngine, book: Path, hold: Path
) -> None:
    job_id, pid = held(engine, book, hold)
    os.kill(pid, signal.SIGKILL)
    hold.unlink()
    assert finished(engine, job_id).state == "succeeded", engine.logs(job_id).text
    assert (engine.result(job_id) or {})["first"] == HELD_AT
    assert tally(engine, job_id) == "".join(f"{i}\n" for i in range(12))


def test_a_process_that_is_asked_to_end_goes_on_later_and_no_crash_is_counted(
    engine: JobEngine, book: Path, hold: Path
) -> None:
    job_id, pid = held(engine, book, hold)
    os.kill(pid, signal.SIGTERM)
    hold.unlink()
    job = finished(engine, job_id)
    assert (engine.result(job_id) or {})["first"] == HELD_AT + 1
    assert (job.state, job.crashes) == ("succeeded", 0), engine.logs(job_id).text
    assert PartFolder(engine.paths.job(job_id) / "parts", LEAD).read_start().deaths == 0
    assert tally(engine, job_id) == "".join(f"{i}\n" for i in range(12))


def test_a_cancelled_job_publishes_nothing_and_leaves_no_process(engine: JobEngine, book: Path) -> None:
    job_id = submit(engine, book, steps=10**6, step_s=0.1)
    until(engine, lambda: written(book))
    pid = int(written(book)[0].split()[2])
    engine.cancel(job_id)
    assert finished(engine, job_id).state == "cancelled"
    assert engine.artifacts_of(job_id) == ()
    until(engine, lambda: not lives(pid) and not list(marked_processes(marker(job_id, 1))))


def test_shards_run_two_at_a_time_and_one_that_is_killed_is_done_again(
    engine: JobEngine, book: Path, hold: Path
) -> None:
    job_id = submit(engine, book, steps=4, shards=4, hold=str(hold))
    until(engine, lambda: len(written(book)) >= 2)
    os.kill(int(written(book)[0].split()[2]), signal.SIGKILL)
    hold.unlink()
    assert finished(engine, job_id).state == "succeeded", engine.logs(job_id).text
    assert (engine.result(job_id) or {})["first"] == 4
    assert tally(engine, job_id) == "0\n1\n2\n3\n"
    done = [line.split()[1] for line in written(book)]
    assert sorted(done) == sorted([done[0], "0", "1", "2", "3"])


def test_when_the_attendant_dies_a_part_on_a_cluster_works_on_and_is_taken_up(
    engine: JobEngine, book: Path, hold: Path
) -> None:
    if engine.settings.launcher == "local":
        return  # there the job's own process is the attendant; what its death means is tested above
    job_id, worker = held(engine, book, hold)
    os.kill(attendant_of(engine, job_id), signal.SIGKILL)
    until(engine, lambda: engine.get(job_id).attempt == 2)
    hold.unlink()
    assert finished(engine, job_id).state == "succeeded", engine.logs(job_id).text
    assert engine.get(job_id).attempt == 2
    assert {int(line.split()[2]) for line in written(book)} == {worker}


def test_a_place_that_works_has_no_problems(settings: Settings) -> None:
    assert problems_of(settings) == ()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm = problems_of(Settings(workspace=tmp_path, launcher="slurm"))
    assert slurm[0].what == "sbatch, squeue, scancel, srun not found"
    nobody = Settings(workspace=tmp_path, launcher="ray", ray_address="http://127.0.0.1:9")
    assert "does not answer" in problems_of(nobody)[0].what


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"launcher": "kubernetes"}, "local, slurm, ray"),
        ({"launcher": "ray"}, "http://head:8265"),
        ({"launcher": "slurm", "slurm_options": ("--gres gpu",)}, "name=value"),
    ],
)
def test_a_launcher_that_cannot_be_is_refused_at_once(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        Settings(workspace=tmp_path, **options)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
