"""The matrix path of one piece of work: decided once, kept over interruptions, and forgotten afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.engine import precision
from interp_lab.engine.precision import MatmulPrecision, Mode, decided_matmul, matmul_precision


def probe_says(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    monkeypatch.setattr(precision, "probe_matmul", lambda: MatmulPrecision(mode, 0.0, 1.0))


def mode_now() -> Mode:
    with matmul_precision() as used:
        return used.mode


@pytest.mark.parametrize(("first", "later"), [("onednn", "default"), ("default", "onednn")])
def test_work_that_goes_on_keeps_its_path_though_the_probe_changed_its_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Mode, later: Mode
) -> None:
    probe_says(monkeypatch, first)
    with decided_matmul(tmp_path):
        assert mode_now() == first
    probe_says(monkeypatch, later)
    with decided_matmul(tmp_path) as kept:
        assert kept == first
        assert mode_now() == first
    assert mode_now() == later


def test_other_work_asks_the_probe_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name, mode in (("a", "onednn"), ("b", "default")):
        probe_says(monkeypatch, mode)  # type: ignore[arg-type]
        with decided_matmul(tmp_path / name) as used:
            assert used == mode
