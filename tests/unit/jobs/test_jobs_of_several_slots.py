"""Jobs that need several accelerators at once: they wait in the queue for their turn, and nothing deadlocks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interp_lab.artifacts.locks import is_locked, try_lock
from interp_lab.errors import NoSuchSlot
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.environment import marker
from interp_lab.jobs.places.choose import place_for
from interp_lab.jobs.processes import kill_leftovers
from interp_lab.settings import ALL_GPUS, Settings
from tests.contract import part_worker
from tests.unit.jobs.fakes import FakeClock, FakeLauncher, settings, spec


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock, launcher: FakeLauncher) -> Iterator[Callable[..., JobEngine]]:
    engines: list[JobEngine] = []

    def begin(**options: object) -> JobEngine:
        engines.append(JobEngine(settings(tmp_path, **options), clock=clock, launcher=launcher))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def started(launcher: FakeLauncher) -> list[str]:
    return [attempt.job_id for attempt in launcher.started]


def test_a_job_that_needs_two_slots_waits_for_both_and_those_behind_it_wait_too(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=2)
    small, large, late = (engine.submit(spec(n=i, slot="gpu", n_slots=n)).id for i, n in enumerate((1, 2, 1)))
    here = engine.submit(spec(n=9)).id
    for _ in range(3):
        engine.tick()
    assert set(started(launcher)) == {small, here}, "the last would keep the large one from ever having both"
    launcher.die(launcher.started[started(launcher).index(small)])
    engine.cancel(small)
    engine.tick()
    assert launcher.slots[large] == ("gpu-0", "gpu-1")
    engine.tick()
    assert late not in started(launcher)
    launcher.die(launcher.started[-1])
    engine.cancel(large)
    engine.tick()
    assert launcher.slots[late] == ("gpu-0",)


def test_two_jobs_that_need_every_slot_run_one_after_the_other(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=3)
    ids = [engine.submit(spec(n=i, slot="gpu", n_slots=3)).id for i in range(2)]
    engine.tick()
    assert started(launcher) == ids[:1]
    launcher.die(launcher.started[0])
    engine.cancel(ids[0])
    engine.tick()
    assert launcher.slots[ids[1]] == ("gpu-0", "gpu-1", "gpu-2")


def test_a_job_that_waits_for_slots_is_cancelled_at_once_and_lets_others_pass(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=2)
    _, large, late = (engine.submit(spec(n=i, slot="gpu", n_slots=n)).id for i, n in enumerate((1, 2, 1)))
    engine.tick()
    assert engine.cancel(large).state == "cancelled"
    engine.tick()
    assert large not in started(launcher)
    assert launcher.slots[late] == ("gpu-1",)


def test_a_slot_of_a_job_that_died_is_used_again_once_that_job_is_buried(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=2)
    large = engine.submit(spec(n=1, slot="gpu", n_slots=2)).id
    engine.tick()
    small = engine.submit(spec(n=2, slot="gpu", n_slots=1)).id
    launcher.die(launcher.started[0])
    run, first = try_lock(engine.paths.run_lock(large)), try_lock(engine.paths.slot("gpu-0"))
    assert run is not None
    assert first is not None
    with run, first:  # of another process, which has found it and ends what it left running
        engine.tick()
        assert started(launcher) == [large]
    engine.cancel(large)
    engine.tick()
    assert launcher.slots[small] == ("gpu-0",)


def test_more_slots_than_there_are_is_refused_and_keeps_nobody_waiting_when_some_were_taken_away(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    with pytest.raises(NoSuchSlot, match="needs 3 gpu slots at once and this server has 2"):
        opened(gpu_slots=2).submit(spec(slot="gpu", n_slots=3))
    large = opened(gpu_slots=3).submit(spec(n=1, slot="gpu", n_slots=3)).id
    fewer = opened(gpu_slots=1)
    late = fewer.submit(spec(n=2, slot="gpu")).id
    fewer.tick()
    assert started(launcher) == [late]
    assert fewer.get(large).state == "queued"


def test_an_attendant_of_a_cluster_needs_one_slot_whatever_its_job_asks_for_there(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=1, launcher="slurm")
    job_id = engine.submit(spec(slot="gpu", n_slots=8)).id
    engine.tick()
    assert launcher.slots[job_id] == ("gpu-0",)


def test_a_process_holds_all_its_slots_sees_their_accelerators_and_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALL_GPUS, "4,5,6")
    command = (sys.executable, "-P", str(part_worker.__file__))
    engine = JobEngine(Settings(workspace=tmp_path, worker_command=command, cpu_slots=0, gpu_slots=2))
    book = tmp_path / "book.txt"

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 900
        while not condition():
            assert time.monotonic() < deadline
            engine.tick()
            time.sleep(0.02)

    def locked() -> list[bool]:
        return [is_locked(engine.paths.slot(name)) for name in ("gpu-0", "gpu-1")]

    job = engine.submit(spec("count", slot="gpu", n_slots=2, book=str(book), steps=10**6, step_s=0.1))
    try:
        until(lambda: book.exists() and book.read_text())
        assert locked() == [True, True]
        pid = int(book.read_text().splitlines()[0].split()[2])
        assert b"CUDA_VISIBLE_DEVICES=4,5" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        engine.cancel(job.id)
        until(lambda: engine.get(job.id).final)
        until(lambda: locked() == [False, False])
        assert engine.get(job.id).state == "cancelled"
    finally:
        kill_leftovers(marker(job.id, 1))
        engine.close()


def room_beside_its_own(engine: JobEngine, slot: str) -> int:
    """Return how many more of four shards a job in that slot may start than the one in its own."""
    place = place_for(engine.settings, engine.paths, slot=slot)
    try:
        return place.room(4, 0) - 1
    finally:
        place.close()


def test_further_shards_of_a_job_leave_free_slots_to_one_that_waits_until_it_has_them(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=3)
    sharded, other = (engine.submit(spec(n=i, slot="gpu")).id for i in range(2))
    engine.tick()
    (own,) = launcher.slots[sharded]
    assert room_beside_its_own(engine, own) == 1, "nobody waits"
    large = engine.submit(spec(n=2, slot="gpu", n_slots=2)).id
    engine.tick()
    assert large not in started(launcher)
    assert room_beside_its_own(engine, own) == 0, "one of two slots is free, and the other will be"
    launcher.die(launcher.started[started(launcher).index(other)])
    engine.cancel(other)
    engine.tick()
    assert large in started(launcher)
    launcher.die(launcher.started[-1])
    engine.cancel(large)
    assert room_beside_its_own(engine, own) == 2


def test_a_job_that_needs_every_slot_is_served_by_the_end_of_one_in_shards_which_may_use_them(
    opened: Callable[..., JobEngine], launcher: FakeLauncher
) -> None:
    engine = opened(gpu_slots=2)
    sharded = engine.submit(spec(n=0, slot="gpu")).id
    engine.tick()
    engine.submit(spec(n=1, slot="gpu", n_slots=2))
    engine.submit(spec(n=2, slot="gpu"))
    engine.tick()
    assert started(launcher) == [sharded]
    (own,) = launcher.slots[sharded]
    assert room_beside_its_own(engine, own) == 1


def test_jobs_of_another_kind_do_not_keep_slots_free(opened: Callable[..., JobEngine], launcher: FakeLauncher) -> None:
    engine = opened(gpu_slots=2, cpu_slots=1)
    sharded = engine.submit(spec(n=0, slot="gpu")).id
    for n in (1, 2):
        engine.submit(spec(n=n))
    engine.tick()
    (own,) = launcher.slots[sharded]
    assert room_beside_its_own(engine, own) == 1
