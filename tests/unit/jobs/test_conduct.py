"""What the attendant of a job in parts does when it goes wrong: finished shards are kept, nothing goes on for ever."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interp_lab.errors import ClusterSilent, JobFilesCorrupt, WorkerKilled
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.parts import conduct
from interp_lab.jobs.parts.program import FindWork, Work, part_arguments, run_part
from interp_lab.jobs.parts.record import PartName, Start
from interp_lab.jobs.places.base import Task, TaskState
from interp_lab.jobs.run import Run
from interp_lab.jobs.signals import BrokenJob, InterruptedJob
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings
from tests.contract.part_worker import find_work
from tests.parts_here import JOB, HerePlace, as_a_process, in_parts, job_of, part

LEAD, LAST = PartName(0), PartName(1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path, silence_s=1, kill_grace_s=0, min_free_bytes=0, ballast_bytes=0)


def asked(settings: Settings, **request: Any) -> dict[str, Any]:
    return {"book": str(settings.workspace / "book.txt"), "steps": 2, **request}


def cut_off_while_it_published(settings: Settings) -> None:
    """What is left when an attendant dies after it moved a first file away."""
    staged = part(settings, LAST).staging(1)
    (file,) = staged.rglob("tally.txt")
    file.unlink()


def test_a_publication_that_was_cut_off_costs_the_last_step_and_no_shard(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings, shards=2))
    place = HerePlace(find_work, settings.to_env())
    in_parts(run, settings, place)
    shards = ["shard-0-00000-1", "shard-0-00001-1"]
    assert place.started == ["lead-0-1", *shards, "lead-1-1"]
    cut_off_while_it_published(settings)
    run.sealed.clear()
    again = HerePlace(find_work, settings.to_env())
    result = in_parts(run, settings, again)
    assert again.started == ["lead-1-2"]
    assert (result["first"], len(run.sealed)) == (2, 1)


def test_what_is_published_leaves_nothing_that_parts_made(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings, shards=2))
    in_parts(run, settings, HerePlace(find_work, settings.to_env()))
    folder = JobFolder(run._paths, JOB)  # pyright: ignore[reportPrivateUsage]
    assert list(folder.parts.glob("*/out/*"))
    folder.drop_parts()
    assert not list(folder.parts.glob("*/out")) + list(folder.parts.glob("*/staged-*"))
    assert part(settings, LAST).read_outcome() is not None


def test_artifacts_that_are_never_whole_are_given_up(settings: Settings) -> None:
    def lose(task: str) -> None:
        shutil.rmtree(part(settings, LEAD).path / f"staged-{task.rpartition('-')[2]}")

    run = job_of(settings, "count", asked(settings))
    place = HerePlace(find_work, settings.to_env(), after=lose)
    with pytest.raises(JobFilesCorrupt, match="not there whole 4 times"):
        in_parts(run, settings, place)
    assert len(place.started) == settings.crash_budget + 1


def asked_to_end(
    gets: Callable[[int], float], ends_at: int, unit: Callable[[int], str] = lambda _: "steps"
) -> FindWork:
    """A part that is asked to end in each of its tries, having got as far as is said, until one ends."""

    def whole(run: Run) -> Mapping[str, Any]:
        run.progress(gets(run.attempt), 100, "counting", unit(run.attempt))
        if run.attempt < ends_at:
            raise InterruptedJob
        return {"tries": run.attempt}

    def find(spec: JobSpec) -> Work:
        return Work(spec.request, whole, None)

    return find


def test_a_part_that_is_asked_to_end_goes_on_as_long_as_it_gets_further(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings))
    place = HerePlace(asked_to_end(float, ends_at=12), settings.to_env())
    assert in_parts(run, settings, place) == {"tries": 12}


def test_what_a_part_counted_before_does_not_hide_that_it_gets_further_in_what_it_counts_now(
    settings: Settings,
) -> None:
    def gets(attempt: int) -> float:
        return 1000.0 if attempt == 1 else float(attempt)

    def unit(attempt: int) -> str:
        return "prompts" if attempt == 1 else "edits"

    run = job_of(settings, "count", asked(settings))
    place = HerePlace(asked_to_end(gets, ends_at=12, unit=unit), settings.to_env())
    assert in_parts(run, settings, place) == {"tries": 12}


class SlowPlace(HerePlace):
    """A place that does not notice at once that a task has ended."""

    detached = True

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        return dict.fromkeys(handles, "running")


def test_a_try_that_said_that_it_ended_is_not_taken_up_though_its_place_has_not_noticed(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings))
    place = SlowPlace(asked_to_end(lambda _: 3.0, ends_at=2), settings.to_env())
    assert in_parts(run, settings, place) == {"tries": 2}
    assert place.started == ["lead-0-1", "lead-0-2"]


def broken(ends_at: int) -> FindWork:
    """Work on several machines one of which is lost in each of its tries, until one ends."""

    def whole(run: Run) -> Mapping[str, Any]:
        if run.attempt < ends_at:
            raise BrokenJob
        return {"tries": run.attempt}

    return lambda spec: Work(spec.request, whole, None)


def test_work_on_several_machines_that_lost_one_is_done_again(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings))
    assert in_parts(run, settings, HerePlace(broken(3), settings.to_env())) == {"tries": 3}
    assert part(settings, LEAD).read_start().deaths == 2


def test_work_on_several_machines_that_loses_one_every_time_is_given_up(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings))
    with pytest.raises(WorkerKilled, match="lost 3 times"):
        in_parts(run, settings, HerePlace(broken(9), settings.to_env()))


def test_a_part_that_is_asked_to_end_and_gets_no_further_is_given_up(settings: Settings) -> None:
    run = job_of(settings, "count", asked(settings))
    place = HerePlace(asked_to_end(lambda _: 3.0, ends_at=12), settings.to_env())
    with pytest.raises(WorkerKilled, match="asked to end 5 times before it got further"):
        in_parts(run, settings, place)
    assert len(place.started) == settings.start_budget + 1


class FarAway(HerePlace):
    """A cluster that takes tasks and then says the same for ever."""

    says: TaskState = "unknown"
    lives: bool = False
    looks: int = 0
    patience: int = -1
    detached = True
    interval_s = 0.05

    def start(self, task: Task) -> str:
        self.started.append(task.name.removeprefix(f"{JOB}-"))
        return task.name

    def states(self, handles: Sequence[str]) -> Mapping[str, TaskState]:
        self.looks += 1
        if self.lives:
            part(Settings(workspace=Path(self.environment["INTERP_LAB_WORKSPACE"])), LEAD).beat(self.looks)
        if self.looks == self.patience:
            raise InterruptedJob
        return dict.fromkeys(handles, self.says)


def test_a_cluster_that_never_answers_fails_the_job_in_its_own_words_and_its_tries_end_by_themselves(
    settings: Settings,
) -> None:
    run = job_of(settings, "count", asked(settings))
    place = FarAway(find_work, settings.to_env())
    with pytest.raises(ClusterSilent, match="for 1 s"):
        in_parts(run, settings, place)
    assert place.started == ["lead-0-1"]
    assert part(settings, LEAD).read_start().number == 2, "the try that nobody reaches sees that it is not the newest"


@pytest.mark.parametrize(("says", "lives"), [("waiting", False), ("unknown", True)])
def test_a_long_queue_and_a_part_that_gives_signs_of_life_are_waited_for(
    settings: Settings, says: TaskState, *, lives: bool
) -> None:
    run = job_of(settings, "count", asked(settings))
    place = FarAway(find_work, settings.to_env())
    place.says, place.lives, place.patience = says, lives, 60
    with pytest.raises(InterruptedJob):
        in_parts(run, settings, place)
    assert place.looks >= 60


class Elsewhere(HerePlace):
    """A cluster whose tasks outlive their attendant; a test says when each does its work."""

    detached = True

    def start(self, task: Task) -> str:
        self.started.append(task.name.removeprefix(f"{JOB}-"))
        return task.name


def test_a_part_that_ends_while_it_is_being_taken_up_is_not_done_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = job_of(settings, "count", asked(settings))
    lead = part(settings, LEAD)
    lead.prepare()
    lead.write_start(Start(number=1, handle="left behind"))
    place = Elsewhere(find_work, settings.to_env())

    def end(handles: Sequence[str]) -> Mapping[str, TaskState]:
        if lead.read_outcome() is None:
            with as_a_process(place.environment):
                run_part(part_arguments(JOB, LEAD, 1), find_work)
        return dict.fromkeys(handles, "ended")

    monkeypatch.setattr(place, "states", end)
    assert in_parts(run, settings, place)["steps"] == 2
    assert place.started == []


def test_a_place_that_knows_a_task_only_after_a_moment_has_not_seen_its_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lag is counted from the real end, not from the moment in which it did not know the task yet."""
    run = job_of(settings, "count", asked(settings))
    place = Elsewhere(find_work, settings.to_env())
    place.lag_s = 60.0
    says: list[tuple[float, TaskState]] = [(1.0, "ended"), (101.0, "running"), (201.0, "ended"), (202.0, "ended")]
    now = 0.0

    def states(handles: Sequence[str]) -> Mapping[str, TaskState]:
        nonlocal now
        now, state = says.pop(0)
        if not says:
            with as_a_process(place.environment):
                run_part(part_arguments(JOB, LEAD, 1), find_work)
        return dict.fromkeys(handles, state)

    monkeypatch.setattr(place, "states", states)
    monkeypatch.setattr(conduct, "time", SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None))
    assert in_parts(run, replace(settings, silence_s=10**6), place)["steps"] == 2
    assert place.started == ["lead-0-1"]
