from __future__ import annotations

import itertools

import anyio
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.jobs import JobProgress
from interp_lab_server.progress import HEARTBEAT_S, INTERVAL_S, ProgressReport, message

STEPS = st.lists(st.tuples(st.floats(0, 30), st.none() | st.floats(0, 1e9)), max_size=40)


def sent(steps: list[tuple[float, float | None]]) -> list[tuple[float, float, float | None]]:
    """Return (time, value, total) of every notification for a job that is looked at after each pause."""
    now = 0.0
    out: list[tuple[float, float, float | None]] = []

    async def send(value: float, total: float | None, text: str | None) -> None:
        out.append((now, value, total))

    async def watch() -> None:
        nonlocal now
        report = ProgressReport(send, clock=lambda: now)
        for pause, done in steps:
            now += pause
            await report(None if done is None else JobProgress(done=done, total=1e9))

    anyio.run(watch)
    return out


@given(STEPS)
def test_values_always_grow_and_never_pass_the_total(steps: list[tuple[float, float | None]]) -> None:
    values = [value for _, value, _ in sent(steps)]
    assert all(a < b for a, b in itertools.pairwise(values))
    assert all(total is None or value <= total for _, value, total in sent(steps))


@given(STEPS)
def test_nothing_is_sent_more_than_once_a_second(steps: list[tuple[float, float | None]]) -> None:
    times = [at for at, _, _ in sent(steps)]
    assert all(b - a >= INTERVAL_S for a, b in itertools.pairwise(times))


def test_a_stage_that_counts_from_the_start_again_claims_no_total() -> None:
    out: list[tuple[float, float | None]] = []

    async def send(value: float, total: float | None, text: str | None) -> None:
        out.append((value, total))

    async def watch() -> None:
        clock = iter(range(0, 100, 5))
        report = ProgressReport(send, clock=lambda: next(clock))
        for done, total in ((226, 420), (3, 41), (230, 420)):
            await report(JobProgress(done=done, total=total))

    anyio.run(watch)
    assert [total for _, total in out] == [420, None, 420]


def test_a_job_that_does_not_move_still_gives_a_sign_of_life() -> None:
    times = [at for at, _, _ in sent([(0.5, 1.0)] * 100)]
    assert len(times) > 2
    assert all(b - a <= HEARTBEAT_S + 0.5 for a, b in itertools.pairwise(times))
    assert all(b - a >= HEARTBEAT_S for a, b in itertools.pairwise(times))


def test_the_message_says_how_far_and_how_long_in_one_printable_line() -> None:
    progress = JobProgress(done=3, total=12, unit="layers", message="ranking\x1b[2J\nnow", eta_s=61.2)
    assert message(progress) == "ranking\\u001b[2J now: 3/12 layers, about 61 s left of this step"
    assert message(None) == "waiting to start"
