"""Rates are measured once per machine, and never taken from a file that is damaged or of another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.contracts.machine import MeasuredRate, ProfileEnvRequest, WorkTime
from interp_lab.jobs.run import LocalRun
from interp_lab.machine.hardware import memory, processor
from interp_lab.machine.rate_cache import cache_file, keep_rates, machine_key, read_rates
from interp_lab.workflows import profile_env as workflow

RATE = MeasuredRate(what="copy", device="cpu", value=7.0, unit="GB/s", repeats=3, spread=0.1)
WORK = WorkTime(what="harvest_run", device="cpu", seconds=0.1, repeats=1, spread=0.0)
MATRIX = MeasuredRate(what="matmul_fp32", device="cpu", value=9.0, unit="GFLOP/s", repeats=3, spread=0.1)


def test_what_was_kept_comes_back_and_another_torch_has_nothing(tmp_path: Path) -> None:
    keys = [machine_key(processor(), memory(), (), versions=[version], n_threads=1) for version in ("2.9", "2.10")]
    files = [cache_file(key, {"XDG_CACHE_HOME": str(tmp_path)}) for key in keys]
    keep_rates(files[0], keys[0], [RATE], [WORK])
    kept = read_rates(files[0], keys[0])
    assert kept is not None
    assert (kept.rates, kept.work) == ((RATE,), (WORK,))
    assert read_rates(files[1], keys[1]) is None
    assert read_rates(files[0], keys[1]) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"key": "k", "measured_at": "never", "rates": []}', b"\xff\x00"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rates.json"
    file.write_bytes(content)
    assert read_rates(file, "k") is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep_rates(tmp_path / "file" / "rates.json", "k", [RATE])


def test_a_second_profile_measures_nothing_unless_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measured: list[str] = []

    def rates(device: str, seconds: float) -> list[MeasuredRate]:
        measured.append(device)
        return [MATRIX]

    monkeypatch.setattr(workflow, "measured_rates", rates)
    monkeypatch.setattr(workflow, "accelerators", tuple)
    monkeypatch.setattr(workflow, "_own_work", lambda *_: [WORK])
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        first, second = (workflow.profile_env(ProfileEnvRequest(), run) for _ in range(2))
        assert measured == ["cpu"]
        assert first.profile.rates == second.profile.rates
        assert first.profile.work == second.profile.work == (WORK,)
        assert first.profile.rates_at is None
        assert "rates known since" in second.summary
        workflow.profile_env(ProfileEnvRequest(fresh=True), run)
        assert measured == ["cpu", "cpu"]


def test_rates_kept_without_short_runs_are_measured_again_when_those_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(workflow, "measured_rates", lambda *_: [MATRIX])
    monkeypatch.setattr(workflow, "accelerators", tuple)
    monkeypatch.setattr(workflow, "_own_work", lambda *_: [WORK])
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        assert workflow.profile_env(ProfileEnvRequest(work=False), run).profile.work == ()
        assert workflow.profile_env(ProfileEnvRequest(), run).profile.work == (WORK,)
        assert workflow.profile_env(ProfileEnvRequest(work=False), run).profile.work == (WORK,), "known already"
