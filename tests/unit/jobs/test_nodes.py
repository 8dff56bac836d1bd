"""Several machines that do one piece of work: each knows which one it is, follows the first, and ends when it does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from interp_lab.errors import InvalidRequest, InvalidSetting
from interp_lab.jobs import follow, gang, torchrun
from interp_lab.jobs.follow import EXIT_LOST, EXIT_OK, Follower
from interp_lab.jobs.gang import Gang
from interp_lab.jobs.nodes import ADDRESS, GROUP, INDEX, Meeting, MeetingPlace, Node
from interp_lab.jobs.rankrun import rank_folder
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.signals import BrokenJob, InterruptedJob

TOLD = {INDEX: "1", GROUP: "7.0", ADDRESS: "10.0.0.1"}
MEETING = Meeting(host="127.0.0.1", port=1, nodes=2, module="m", arguments=(), n=1)
NODE = Node(1, "7.0", "127.0.0.1")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Give signals back to whoever had them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def runs(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let what a machine starts be a small program."""

    def start(meeting: Meeting, index: int) -> subprocess.Popen[bytes]:
        del meeting, index
        return subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)

    monkeypatch.setattr(torchrun, "start_with_others", start)


def follower(folder: Path, over: Callable[[], bool]) -> Follower:
    return Follower(node=NODE, place=MeetingPlace(folder, NODE.group), over=over, grace_s=5)


def test_a_process_is_told_which_of_several_machines_it_is_or_nothing() -> None:
    assert Node.from_env(TOLD) == Node(1, "7.0", "10.0.0.1")
    assert Node.from_env({}) is None


@pytest.mark.parametrize("changes", [{INDEX: ""}, {INDEX: "-1"}, {GROUP: "../up"}, {GROUP: ""}, {ADDRESS: ""}])
def test_what_does_not_say_which_machine_it_is_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match="which of several machines"):
        Node.from_env(TOLD | changes)


def test_word_of_one_start_is_not_that_of_another(tmp_path: Path) -> None:
    MeetingPlace(tmp_path, "7.0").call(MEETING)
    assert MeetingPlace(tmp_path, "7.0").read() == MEETING
    assert MeetingPlace(tmp_path, "7.1").read() is None


def test_gloo_is_shown_the_interface_from_which_the_first_machine_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = torchrun.interface_towards("127.0.0.1")
    assert name is not None
    assert any(one.address == "127.0.0.1" for one in psutil.net_if_addrs()[name])

    def unknown(host: str, port: int, **_: object) -> None:
        raise socket.gaierror(f"{host}:{port}")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # a real question goes to whatever answers names here
    assert torchrun.interface_towards("no.such.host.invalid") is None


def test_a_machine_that_nobody_calls_ends_with_the_work(tmp_path: Path) -> None:
    looks = iter([False, False, True])
    assert follower(tmp_path, lambda: next(looks)).work() == EXIT_OK


def test_a_machine_whose_processes_end_well_has_ended_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "")
    MeetingPlace(tmp_path, NODE.group).call(MEETING)
    assert follower(tmp_path, lambda: False).work() == EXIT_OK


@pytest.mark.parametrize(("over", "status"), [(True, EXIT_OK), (False, EXIT_LOST)])
def test_processes_that_break_are_a_loss_unless_the_work_was_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: bool, status: int
) -> None:
    runs(monkeypatch, "raise SystemExit(1)")
    monkeypatch.setattr(follow, "_WORD_S", 0.0)
    MeetingPlace(tmp_path, NODE.group).call(MEETING)
    broke = tmp_path / "broke"

    def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
        del grace_s
        process.wait()
        broke.touch()

    monkeypatch.setattr(torchrun, "end", end)
    assert follower(tmp_path, lambda: over and broke.exists()).work() == status


def test_a_machine_ends_its_processes_when_the_work_of_the_first_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    runs(monkeypatch, f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)")
    MeetingPlace(tmp_path, NODE.group).call(MEETING)
    assert follower(tmp_path, started.exists).work() == EXIT_OK


def test_a_machine_that_is_asked_to_end_tells_the_first(tmp_path: Path) -> None:
    place = MeetingPlace(tmp_path, NODE.group)

    def over() -> bool:
        os.kill(os.getpid(), signal.SIGTERM)  # it listens by now
        return place.is_asked_to_end()

    assert follower(tmp_path, over).work() == EXIT_OK


def first(monkeypatch: pytest.MonkeyPatch) -> Gang:
    for name, value in (TOLD | {INDEX: "0"}).items():
        monkeypatch.setenv(name, value)
    return Gang(module="m", arguments=(), n=1, nodes=2, crash_budget=3, grace_s=5)


def test_a_group_over_machines_that_breaks_is_left_to_the_one_who_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "raise SystemExit(1)")
    with LocalRun(tmp_path) as run, pytest.raises(BrokenJob):
        first(monkeypatch).work(run)
    called = MeetingPlace(rank_folder(run.checkpoint_dir).path, "7.0").read()
    assert called is not None
    assert (called.host, called.nodes, called.module) == ("10.0.0.1", 2, "m")


def test_the_first_machine_ends_when_another_was_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "import time; time.sleep(600)")
    call = MeetingPlace.call

    def called(place: MeetingPlace, meeting: Meeting) -> None:
        call(place, meeting)
        place.ask_to_end()

    monkeypatch.setattr(gang.MeetingPlace, "call", called)
    with LocalRun(tmp_path) as run, pytest.raises(InterruptedJob):
        first(monkeypatch).work(run)


def test_machines_that_nobody_has_started_are_not_waited_for(tmp_path: Path) -> None:
    alone = Gang(module="m", arguments=(), n=1, nodes=2, crash_budget=3, grace_s=5)
    with LocalRun(tmp_path) as run, pytest.raises(InvalidRequest, match="only jobs on a cluster"):
        alone.work(run)
