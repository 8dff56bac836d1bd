"""An engine whose jobs are started by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.engine import JobEngine
from tests.unit.jobs.fakes import FakeClock, FakeLauncher, settings


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[FakeLauncher]:
    fake = FakeLauncher(WorkspacePaths.of(settings(tmp_path)))
    yield fake
    fake.die_all()


@pytest.fixture
def engine(tmp_path: Path, clock: FakeClock, launcher: FakeLauncher) -> Iterator[JobEngine]:
    opened = JobEngine(settings(tmp_path), clock=clock, launcher=launcher)
    yield opened
    opened.close()
