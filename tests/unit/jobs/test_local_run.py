"""A workflow runs the same without an engine: into a folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from interp_lab.artifacts.canonical import sha256_hex
from interp_lab.artifacts.manifest import parse_manifest
from interp_lab.jobs.pace import MIN_INTERVAL_S, Pace
from interp_lab.jobs.run import LocalRun, Run
from tests.unit.jobs.fakes import FakeClock


def workflow(run: Run) -> int:
    run.progress(1, 2, "half", "steps")
    run.check()
    run.record(1, {"loss": 0.5, "bad": math.nan, "worse": math.inf})
    with run.checkpoints.save(1) as folder:
        (folder / "w").write_bytes(b"w")
    run.inputs["model"] = "m@1"
    with run.artifact("report", "A report") as artifact:
        artifact.write_json("report.json", {"answer": 42})
    return 42


def test_a_workflow_called_from_python_leaves_its_artifacts_with_their_manifest(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with LocalRun(output, seed=5) as run:
        assert workflow(run) == 42
    (folder,) = run.written
    data = (folder / "manifest.json").read_bytes()
    manifest = parse_manifest(sha256_hex(data), data)
    assert (manifest.kind, manifest.job, manifest.seeds, manifest.inputs) == (
        "report",
        None,
        {"seed": 5},
        {"model": "m@1"},
    )
    assert json.loads((folder / "report.json").read_bytes()) == {"answer": 42}
    assert folder.name == f"report-{manifest.id[:12]}"
    line = json.loads((output / "metrics.jsonl").read_bytes())
    assert line == {"step": 1, "loss": 0.5, "non_finite": ["bad", "worse"]}
    again = LocalRun(output)
    latest = again.checkpoints.latest()
    assert latest is not None
    assert latest.step == 1
    assert sorted(p.name for p in output.iterdir()) == ["ckpt", "metrics.jsonl", folder.name]


def test_a_workflow_that_fails_leaves_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), LocalRun(tmp_path) as run, run.artifact("report", "R") as artifact:
        artifact.write_json("report.json", 1 // 0)
    assert run.written == []
    assert list(tmp_path.iterdir()) == []


def test_progress_is_written_at_most_twice_a_second() -> None:
    clock = FakeClock()
    pace = Pace(1, clock)
    written = 0
    for step in range(1000):
        clock.pass_time(0.01)
        pace.report(step, 1000, "x", "steps")
        written += pace.due()
    assert 15 <= written <= 10 / MIN_INTERVAL_S + 1


def test_the_estimate_comes_from_what_this_attempt_did() -> None:
    clock = FakeClock()
    pace = Pace(2, clock)
    clock.pass_time(1)
    assert pace.report(500, 1000, "resumed", "")["eta_s"] is None
    clock.pass_time(9)
    assert pace.report(600, 1000, "on", "")["eta_s"] == pytest.approx(36.0)


def test_getting_ready_does_not_count_as_speed() -> None:
    clock = FakeClock()
    pace = Pace(1, clock)
    assert pace.report(0, None, "opening the model", "")["eta_s"] is None
    clock.pass_time(100)
    assert pace.report(50, 1050, "reading", "tokens")["eta_s"] is None
    clock.pass_time(1)
    assert pace.report(150, 1050, "reading", "tokens")["eta_s"] == pytest.approx(9.0)
    assert pace.report(1, 10, "writing", "files")["eta_s"] is None


def test_progress_that_is_not_a_number_never_reaches_the_file() -> None:
    report = Pace(1, FakeClock()).report(math.nan, math.inf, "x" * 9999, "")
    assert (report["done"], report["total"], len(report["message"])) == (0.0, None, 500)
    assert json.dumps(report, allow_nan=False)
