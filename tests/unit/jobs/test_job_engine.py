"""What the engine promises to a caller, with processes that are only locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.contracts.jobs import JobFailure
from interp_lab.errors import (
    DiskFull,
    InvalidCursor,
    InvalidRequest,
    JobFilesCorrupt,
    NoSuchSlot,
    QueueFull,
    QuotaExceeded,
    RequestKeyConflict,
    UnknownJob,
    WorkspaceUnusable,
)
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.ledger import Attempt, Ending, Exit, Ledger
from interp_lab.jobs.opening import reach_catalog
from tests.unit.jobs.fakes import FakeClock, FakeLauncher, settings, spec


def ledger_of(engine: JobEngine, clock: FakeClock) -> Ledger:
    return Ledger(reach_catalog(engine.paths), clock)


def run_to(engine: JobEngine, clock: FakeClock, launcher: FakeLauncher, ending: Ending) -> Attempt:
    """Start the next job, let it end as given, and let its process go."""
    engine.tick()
    attempt = launcher.started[-1]
    ledger = ledger_of(engine, clock)
    assert ledger.started(attempt)
    assert ledger.end(attempt, ending)
    launcher.die(attempt)
    return attempt


def failed() -> Ending:
    return Ending(state="failed", error=JobFailure(code="x", what="It broke.", remedy="Mend it."))


def test_a_submitted_job_waits_then_starts_in_a_slot(engine: JobEngine, launcher: FakeLauncher) -> None:
    job = engine.submit(spec(n=1))
    assert (job.state, job.attempt, len(job.id)) == ("queued", 0, 32)
    engine.tick()
    assert engine.get(job.id).state == "starting"
    assert launcher.started == [Attempt(job.id, 1)]


def test_jobs_start_by_priority_and_then_in_the_order_of_submission(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    ids = [engine.submit(spec(n=n, priority=p)).id for n, p in [(1, 0), (2, 0), (3, 5)]]
    for _ in ids:
        run_to(engine, clock, launcher, failed())
    assert [attempt.job_id for attempt in launcher.started] == [ids[2], ids[0], ids[1]]


def test_no_more_jobs_run_than_there_are_slots(engine: JobEngine, launcher: FakeLauncher) -> None:
    for n in range(3):
        engine.submit(spec(n=n))
    engine.tick()
    engine.tick()
    assert len(launcher.started) == 1


def test_equal_work_shares_a_job_and_force_makes_a_fresh_one(engine: JobEngine) -> None:
    first = engine.submit(spec(n=1))
    assert engine.submit(spec(n=1)).id == first.id
    assert engine.submit(spec(n=2)).id != first.id
    fresh = engine.submit(spec(n=1), force=True)
    assert fresh.id != first.id
    assert fresh.resumes is None
    assert engine.submit(spec(n=1)).id == fresh.id


def test_a_request_key_names_one_job_whatever_became_of_it(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1), request_key="k")
    run_to(engine, clock, launcher, failed())
    assert engine.submit(spec(n=1), request_key="k").id == job.id
    assert engine.submit(spec(n=1), request_key="k", force=True).id == job.id
    with pytest.raises(RequestKeyConflict):
        engine.submit(spec(n=2), request_key="k")
    assert len(engine.list_jobs().items) == 1


def test_repeating_a_failed_request_makes_a_job_that_continues_its_checkpoint(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    run_to(engine, clock, launcher, failed())
    again = engine.submit(spec(n=1))
    assert again.id != job.id
    assert again.resumes == job.id


def test_a_refused_submission_leaves_no_folder(tmp_path: Path, launcher: FakeLauncher) -> None:
    engine = JobEngine(settings(tmp_path, queue_cap=1, quota_bytes=10), launcher=launcher)
    engine.submit(spec(n=1))
    with pytest.raises(QueueFull):
        engine.submit(spec(n=2))
    with pytest.raises(NoSuchSlot):
        engine.submit(spec(n=3, slot="gpu"))
    with pytest.raises(InvalidRequest):
        engine.submit(spec(n=float("nan")))
    assert len(list(engine.paths.jobs.iterdir())) == 1
    engine.close()


def test_no_job_is_taken_on_without_free_space_or_over_the_quota(tmp_path: Path, launcher: FakeLauncher) -> None:
    full = JobEngine(settings(tmp_path, min_free_bytes=2**62), launcher=launcher)
    with pytest.raises(DiskFull, match="bytes free"):
        full.submit(spec(n=1))
    full.close()
    over = JobEngine(settings(tmp_path, quota_bytes=0), launcher=launcher)
    with pytest.raises(QuotaExceeded):
        over.submit(spec(n=1))
    over.close()


def test_an_unknown_or_malformed_id_is_refused_everywhere(engine: JobEngine) -> None:
    for job_id in ("0" * 32, "", "../x", "0" * 31 + "G", "a" * 10**6, "\ud800", "0" * 31 + "\n"):
        for ask in (engine.get, engine.cancel, engine.logs, engine.events, engine.result, engine.artifacts_of):
            with pytest.raises(UnknownJob):
                ask(job_id)
        with pytest.raises(UnknownJob):
            engine.progress(job_id)


def test_lists_are_newest_first_paged_and_filtered(engine: JobEngine) -> None:
    ids = [engine.submit(spec(n=n)).id for n in range(5)]
    engine.cancel(ids[2])
    first = engine.list_jobs(limit=3)
    assert [job.id for job in first.items] == ids[4:1:-1]
    second = engine.list_jobs(limit=3, cursor=first.next_cursor)
    assert [job.id for job in second.items] == ids[1::-1]
    assert second.next_cursor is None
    assert [job.id for job in engine.list_jobs(states=("cancelled",)).items] == [ids[2]]
    assert engine.list_jobs(states=("running", "failed")).items == ()


@pytest.mark.parametrize("cursor", ["", "x", "-1", "9" * 30, "1e3", "١"])
def test_a_cursor_from_elsewhere_is_refused(engine: JobEngine, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        engine.list_jobs(cursor=cursor)
    with pytest.raises(InvalidCursor):
        engine.list_artifacts(cursor=cursor)


def test_a_waiting_job_is_cancelled_at_once_and_repeating_that_changes_nothing(engine: JobEngine) -> None:
    job = engine.submit(spec(n=1))
    once = engine.cancel(job.id)
    assert once.state == "cancelled"
    assert JobFolder(engine.paths, job.id).cancel_flag.exists()
    assert engine.cancel(job.id) == once


def test_a_cancelled_attempt_can_neither_succeed_nor_fail(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    attempt, ledger = launcher.started[0], ledger_of(engine, clock)
    assert ledger.started(attempt)
    assert engine.cancel(job.id).cancel_requested
    assert launcher.asked == [(attempt, False)]
    assert not ledger.end(attempt, Ending(state="succeeded", result_sha256="0" * 64))
    assert not ledger.end(attempt, failed())
    assert not ledger.interrupted(attempt)
    assert ledger.end(attempt, Ending(state="cancelled"))
    assert engine.get(job.id).state == "cancelled"


def test_an_attempt_that_was_not_cancelled_cannot_end_as_cancelled(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    engine.submit(spec(n=1))
    engine.tick()
    assert not ledger_of(engine, clock).end(launcher.started[0], Ending(state="cancelled"))


def test_a_cancel_between_claim_and_start_keeps_the_worker_from_starting(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    engine.cancel(job.id)
    assert not ledger_of(engine, clock).started(launcher.started[0])


def test_a_process_that_lost_its_job_changes_nothing(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    old, ledger = launcher.started[0], ledger_of(engine, clock)
    assert ledger.started(old)
    launcher.die(old)
    engine.tick()
    assert launcher.started[-1] == Attempt(job.id, 2)
    assert not ledger.end(old, Ending(state="succeeded", result_sha256="0" * 64))
    assert not ledger.started(old)
    assert not ledger.interrupted(old)
    assert engine.get(job.id).state == "starting"


def test_a_crash_is_counted_and_the_budget_ends_it_with_the_reason(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    for number in range(3):
        engine.tick()
        assert ledger_of(engine, clock).started(launcher.started[number])
        launcher.die(launcher.started[number], Exit(-9, 3 * 2**30))
    ended = engine.get(job.id)
    assert (ended.state, ended.crashes, ended.attempt) == ("failed", 3, 3)
    assert ended.error is not None
    assert "killed (signal 9), likely out of memory; its peak memory was 3072 MiB (3 times)" in ended.error.what


def test_an_interruption_is_not_a_crash_and_the_job_goes_on(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    for number in range(6):
        engine.tick()
        ledger = ledger_of(engine, clock)
        assert ledger.started(launcher.started[number])
        assert ledger.interrupted(launcher.started[number])
        launcher.die(launcher.started[number])
        assert engine.get(job.id).state == "interrupted"
    assert engine.get(job.id).crashes == 0


def test_a_cancelled_attempt_that_dies_is_cancelled_not_crashed(engine: JobEngine, launcher: FakeLauncher) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    engine.cancel(job.id)
    launcher.die(launcher.started[0])
    ended = engine.get(job.id)
    assert (ended.state, ended.crashes, ended.error) == ("cancelled", 0, None)


def test_a_cancelled_attempt_is_killed_only_after_its_grace(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    engine.cancel(job.id)
    clock.pass_time(9)
    engine.tick()
    assert (launcher.started[0], True) not in launcher.asked
    clock.pass_time(2)
    engine.tick()
    assert (launcher.started[0], True) in launcher.asked
    assert engine.get(job.id).state == "cancelled"


def test_events_tell_the_whole_story_in_order(engine: JobEngine, launcher: FakeLauncher, clock: FakeClock) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    launcher.die(launcher.started[0])
    run_to(engine, clock, launcher, failed())
    events = engine.events(job.id)
    assert [e.kind for e in events] == ["submitted", "claimed", "start_failed", "claimed", "started", "failed"]
    assert [e.attempt for e in events] == [0, 1, 1, 2, 2, 2]
    assert engine.events(job.id, after=events[3].id) == events[4:]
    assert all(e.actor for e in events)


def test_a_result_that_was_changed_afterwards_is_not_served(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    digest = JobFolder(engine.paths, job.id).write_result({"answer": 42}, (), 1)
    run_to(engine, clock, launcher, Ending(state="succeeded", result_sha256=digest))
    assert engine.result(job.id) == {"answer": 42}
    path = engine.paths.job(job.id) / "result.json"
    path.write_bytes(path.read_bytes().replace(b"42", b"43"))
    with pytest.raises(JobFilesCorrupt):
        engine.result(job.id)


def test_the_spec_comes_back_as_it_was_given(engine: JobEngine) -> None:
    given = spec(text="naïve ☃", nested={"a": [1, 2.5, None, True]})
    assert engine.spec(engine.submit(given).id) == given


def test_two_engines_on_one_workspace_see_the_same_jobs(
    tmp_path: Path, engine: JobEngine, launcher: FakeLauncher
) -> None:
    other = JobEngine(settings(tmp_path), launcher=launcher)
    job = engine.submit(spec(n=1))
    other.tick()
    engine.tick()
    assert engine.get(job.id) == other.get(job.id)
    assert len(launcher.started) == 1
    other.close()


def test_a_workspace_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(WorkspaceUnusable):
            JobEngine(settings(tmp_path / name))


def test_a_silent_running_job_is_stalled_only_beyond_its_own_pace(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    job = engine.submit(spec(n=1))
    engine.tick()
    assert ledger_of(engine, clock).started(launcher.started[0])
    report = {"attempt": 1, "done": 1, "boot_s": clock.boot, "intervals_s": [20.0]}
    JobFolder(engine.paths, job.id).write_progress(report)
    clock.pass_time(199)
    assert not engine.get(job.id).stalled
    clock.pass_time(2)
    assert engine.get(job.id).stalled
    assert engine.list_jobs().items[0].stalled


def test_what_parts_made_goes_with_the_sweep_once_their_job_has_published_and_stays_before(
    engine: JobEngine, launcher: FakeLauncher, clock: FakeClock
) -> None:
    published, broken = engine.submit(spec(n=1)).id, engine.submit(spec(n=2)).id
    run_to(engine, clock, launcher, Ending(state="succeeded", result_sha256="0" * 64))
    run_to(engine, clock, launcher, failed())
    made = [JobFolder(engine.paths, job_id).parts / "shard-0-00000" / "out" for job_id in (published, broken)]
    for folder in made:
        folder.mkdir(parents=True)
        (folder.parent / "outcome.json").touch()
    engine.sweep()
    assert [folder.exists() for folder in made] == [False, True], "the process was killed before it removed them"
    assert (made[0].parent / "outcome.json").exists()
