"""Figures of the fault tests: every test records what it injected and what was lost; totals are shown at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab.jobs.engine import JobEngine
from tests.faults.rig import kill, settings, worker_pids

Record = Callable[..., None]
FOLDER = "interp-lab-faults"
MUST_BE_ZERO = ("jobs_lost", "artifacts_corrupt", "double_runs")


def _folder(config: pytest.Config) -> Path:
    assert config.cache is not None
    return config.cache.mkdir(FOLDER)


def pytest_configure(config: pytest.Config) -> None:
    """Forget the figures of the run before; the workers of a distributed run leave that to their controller."""
    if not hasattr(config, "workerinput"):
        for old in _folder(config).glob("*.json"):
            old.unlink()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Return a function that stores the figures of this test; the ones that must be 0 are asserted."""

    def store(**figures: float) -> None:
        name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
        (_folder(request.config) / f"{name}.json").write_text(json.dumps(figures))
        for figure in MUST_BE_ZERO:
            assert figures.get(figure, 0) == 0, f"{figure}: {figures}"

    return store


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the totals: counts are added up, times are the worst seen."""
    totals: dict[str, float] = dict.fromkeys(("kills", *MUST_BE_ZERO), 0)
    files = sorted(_folder(config).glob("*.json"))
    for file in files:
        for name, value in json.loads(file.read_text()).items():
            known = totals.get(name, 0)
            totals[name] = known + value if isinstance(value, int) else round(max(known, value), 3)
    if files:
        terminalreporter.section("fault figures")
        terminalreporter.write_line(json.dumps({"tests": len(files), **totals}, indent=1))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """Return a fresh workspace; whatever was started in it is killed afterwards."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    while pids := worker_pids(folder):
        for pid in pids:
            kill(pid)


@pytest.fixture
def engine(workspace: Path) -> Iterator[JobEngine]:
    """Return an engine with the misbehaving worker."""
    opened = JobEngine(settings(workspace))
    yield opened
    opened.close()
