"""The short runs by which a machine is profiled: every piece that a plan needs is timed, and nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interp_lab.contracts.machine import WorkTime
from interp_lab.jobs.run import LocalRun
from interp_lab.machine.scale.labtimes import LabTimes
from interp_lab.workflows.profiling import own_work, start
from tests.unit.machine.scale.probed import surface, work


def in_this_process(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["start", str(folder)])
        assert start.main() == 0


def test_short_runs_time_every_piece_that_a_plan_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_work, "start_process", in_this_process)
    monkeypatch.setattr(own_work, "WIDTHS", (64, 128))
    monkeypatch.setattr(own_work, "SHAPES", ((16, 64), (16, 128), (32, 64), (32, 128)))
    monkeypatch.setattr(own_work, "DENSE_SHAPES", ((16, 64),))
    monkeypatch.setattr(own_work, "_SOME", 20)
    monkeypatch.setattr(own_work, "_DOCUMENTS", 60)
    monkeypatch.setattr(own_work, "_EDITED_PROMPTS", 40)
    monkeypatch.setattr(own_work, "_EDITED_UNITS", 1)
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        steps = tuple(own_work.own_steps("cpu", 0.1, run.checkpoint_dir, run.check))
        jobs = tuple(own_work.own_jobs(steps, "cpu", run))
        assert not (run.checkpoint_dir / "short-runs").exists()
        assert run.written == [], "artifacts of short runs are not artifacts of the profile"
    times = LabTimes.of((*steps, *jobs), "cpu")
    assert times is not None
    assert times.once("intervene") > 0
    assert {each.sizes for each in steps if each.what == "held_out"} == {(16, 64), (16, 128), (32, 64), (32, 128)}


def test_steps_that_cost_more_than_a_run_took_leave_no_negative_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine may time steps slower than the run that makes them."""
    monkeypatch.setattr(own_work, "start_process", lambda _: None)
    monkeypatch.setattr(own_work, "_SOME", 20)
    monkeypatch.setattr(own_work, "_DOCUMENTS", 60)
    monkeypatch.setattr(own_work, "_EDITED_PROMPTS", 40)
    monkeypatch.setattr(own_work, "_EDITED_UNITS", 1)
    slow: list[WorkTime] = [
        *(work("forward", 1.0, width, length) for width in (128, 512) for length in (64, 256)),
        *surface("train_step", 10.0, 0, 0, 0),
        *surface("held_out", 1.0, 0, 0, 0),
    ]
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        jobs = tuple(own_work.own_jobs(tuple(slow), "cpu", run))
    assert all(each.seconds > 0 for each in jobs)
