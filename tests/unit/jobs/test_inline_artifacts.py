"""Artifacts of no job: public when the block ends well, gone when it does not, kept by collector and rebuild."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from interp_lab.artifacts.writer import Origin
from interp_lab.errors import QuotaExceeded
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.rebuild import rebuild
from tests.unit.jobs.fakes import FakeLauncher, settings

ORIGIN = Origin(job=None, attempt=0, started=datetime(2026, 1, 1, tzinfo=UTC))


def _publish(engine: JobEngine, text: str = "hello") -> str:
    with engine.inline.artifact("figure", "a title", ORIGIN) as writer:
        writer.write_text("figure.html", text)
    return writer.id


def test_an_artifact_of_no_job_is_listed_read_and_kept_by_the_collector(engine: JobEngine) -> None:
    made = _publish(engine)
    engine.sweep()
    assert [manifest.id for manifest in engine.list_artifacts(kind="figure").items] == [made]
    assert engine.artifacts.read_file(made, "figure.html") == b"hello"
    assert engine.artifacts.manifest(made).job is None
    assert list(engine.paths.tmp.iterdir()) == []


def test_an_artifact_whose_writing_failed_is_not_there(engine: JobEngine) -> None:
    def broken() -> None:
        with engine.inline.artifact("figure", "a title", ORIGIN) as writer:
            writer.write_text("figure.html", "half")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert engine.list_artifacts().items == ()
    assert list(engine.artifacts.ids()) == []


def test_a_rebuilt_catalogue_still_has_it(engine: JobEngine, launcher: FakeLauncher) -> None:
    made = _publish(engine)
    rebuild(engine.paths, engine.artifacts, launcher)
    assert [manifest.id for manifest in engine.list_artifacts().items] == [made]


def test_a_full_workspace_takes_no_more(tmp_path, clock, launcher) -> None:
    engine = JobEngine(settings(tmp_path, quota_bytes=3), clock=clock, launcher=launcher)
    _publish(engine)
    with pytest.raises(QuotaExceeded):
        _publish(engine, "again")
    engine.close()
