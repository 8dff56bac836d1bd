"""F9: files cut short or with one bit flipped are noticed before they are used."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from interp_lab.artifacts.checkpoints import Checkpoints
from interp_lab.errors import ArtifactCorrupt, CatalogCorrupt, JobFilesCorrupt
from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import LONG, Gate, drive, finish, integrity, settings, settle, spec, wrong_artifacts

STEPS = 40
DAMAGES = ["empty", "one byte", "half", "all but one byte", "flipped bit"]
FLIPS = 400 if LONG else 40


def damage(path: Path, how: str, rng: random.Random) -> None:
    """Damage a file, read-only or not, and keep its time as a failing disk would."""
    data = bytearray(path.read_bytes())
    sizes = {"empty": 0, "one byte": 1, "half": len(data) // 2, "all but one byte": len(data) - 1}
    if how == "flipped bit":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    else:
        data = data[: sizes[how]]
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a workspace with one job that succeeded, and its id."""
    folder = tmp_path_factory.mktemp("finished")
    engine = JobEngine(settings(folder))
    job = finish(engine, engine.submit(spec("count", steps=STEPS)).id)
    assert job.state == "succeeded"
    engine.close()
    settle(folder)  # its process still writes and removes files a moment after the job's end
    return folder, job.id


def copy_closed(source: Path, target: Path) -> None:
    """Copy a closed workspace; some file systems still list its mark of being open a moment after that was removed."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("catalog.open"))


@pytest.fixture
def copied(finished: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """Return a copy of the finished workspace to damage, and the job's id."""
    folder = tmp_path / "copy"
    copy_closed(finished[0], folder)
    return folder, finished[1]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("first_read", [True, False])
def test_a_damaged_content_is_never_served(
    copied: tuple[Path, str], record: Record, how: str, *, first_read: bool
) -> None:
    folder, job_id = copied
    engine = JobEngine(settings(folder))
    (manifest,) = engine.artifacts_of(job_id)
    if not first_read:
        engine.artifacts.read_file(manifest.id, "tally.txt")
    entry = manifest.file("tally.txt")
    assert entry is not None
    damage(engine.paths.blob(entry.sha256), how, random.Random(1))
    with pytest.raises(ArtifactCorrupt):
        engine.artifacts.read_file(manifest.id, "tally.txt")
    with pytest.raises(ArtifactCorrupt):
        engine.artifacts.open(manifest.id)
    assert engine.artifacts_of(job_id) == ()
    assert not engine.artifacts.verify(manifest.id).ok
    record(damaged=1)
    engine.close()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_manifest_is_never_served(copied: tuple[Path, str], record: Record, how: str) -> None:
    folder, job_id = copied
    engine = JobEngine(settings(folder))
    (manifest,) = engine.artifacts_of(job_id)
    damage(engine.paths.artifact(manifest.id) / "manifest.json", how, random.Random(2))
    with pytest.raises(ArtifactCorrupt):
        engine.artifacts.open(manifest.id)
    assert engine.list_artifacts().items == ()
    record(damaged=1)
    engine.close()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_result_is_never_served(copied: tuple[Path, str], record: Record, how: str) -> None:
    folder, job_id = copied
    engine = JobEngine(settings(folder))
    damage(engine.paths.job(job_id) / "result.json", how, random.Random(3))
    with pytest.raises(JobFilesCorrupt):
        engine.result(job_id)
    record(damaged=1)
    engine.close()


@pytest.mark.parametrize("how", ["half", "flipped bit"])
def test_a_job_with_a_damaged_spec_fails_and_says_so(workspace: Path, record: Record, how: str) -> None:
    engine = JobEngine(settings(workspace))
    job = engine.submit(spec("count", steps=1))
    damage(engine.paths.job(job.id) / "spec.json", how, random.Random(4))
    with pytest.raises(JobFilesCorrupt):
        engine.spec(job.id)
    ended = finish(engine, job.id)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == ("failed", "job_files_corrupt")
    record(damaged=1)
    engine.close()


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("clean_end", [True, False])
def test_a_damaged_catalogue_is_rebuilt_with_every_job_and_artifact(
    copied: tuple[Path, str], record: Record, how: str, *, clean_end: bool
) -> None:
    folder, job_id = copied
    before = JobEngine(settings(folder))
    waiting = before.submit(spec("count", steps=1), request_key="waiting")
    cancelled = before.cancel(before.submit(spec("count", steps=2)).id)
    truth = (before.get(job_id), before.result(job_id))
    before.close()
    if not clean_end:
        (before.paths.catalog_dir / "catalog.open").touch()
    if how == "flipped bit":  # in the type of the first page, where it cannot be harmless
        data = bytearray(before.paths.catalog.read_bytes())
        data[100] ^= 0x40
        before.paths.catalog.write_bytes(data)
    else:
        damage(before.paths.catalog, how, random.Random(0))

    engine = JobEngine(settings(folder))
    again = engine.get(job_id)
    record(
        damaged=1,
        jobs_lost=3 - len(engine.list_jobs().items),
        artifacts_corrupt=wrong_artifacts(engine, job_id, STEPS),
    )
    assert (again.state, again.attempt, again.duration_s) == ("succeeded", 1, truth[0].duration_s)
    assert engine.result(job_id) == truth[1]
    assert engine.get(cancelled.id).state == "cancelled"
    assert engine.submit(spec("count", steps=1), request_key="waiting").id == waiting.id
    assert finish(engine, waiting.id).state == "succeeded"
    assert integrity(engine) == "ok"
    assert len(list(folder.glob(".interp-lab/catalog.damaged-*.sqlite"))) == 1
    engine.close()


def test_no_flipped_bit_in_the_catalogue_loses_a_job_or_changes_a_result(
    finished: tuple[Path, str], tmp_path: Path, record: Record
) -> None:
    rng = random.Random(9)
    rebuilt = 0
    for number in range(FLIPS):
        folder = tmp_path / str(number)
        copy_closed(finished[0], folder)
        damage(folder / ".interp-lab" / "catalog.sqlite", "flipped bit", rng)
        engine = JobEngine(settings(folder))
        assert engine.get(finished[1]).state == "succeeded", number
        assert engine.result(finished[1])["steps"] == STEPS
        assert wrong_artifacts(engine, finished[1], STEPS) == 0
        rebuilt += bool(list(folder.glob(".interp-lab/catalog.damaged-*.sqlite")))
        engine.close()
        shutil.rmtree(folder)
    record(damaged=FLIPS, catalogues_rebuilt=rebuilt)
    assert rebuilt


def test_a_catalogue_damaged_under_a_running_server_is_reported_not_believed(copied: tuple[Path, str]) -> None:
    folder, job_id = copied
    engine = JobEngine(settings(folder))
    engine.paths.catalog.write_bytes(b"not a database, " * 1000)
    asks: list[Callable[[], object]] = [lambda: engine.get(job_id), engine.tick, engine.list_jobs]
    for ask in asks:
        with pytest.raises(CatalogCorrupt, match="damaged"):
            ask()
    engine.close()


def test_a_lost_catalogue_is_rebuilt_and_live_jobs_are_taken_back(workspace: Path, record: Record) -> None:
    engine = JobEngine(settings(workspace))
    gate = Gate(workspace)
    job = engine.submit(spec("count", steps=30, **gate.request))
    drive(engine, job.id, until=lambda _: gate.reached())
    engine.close()
    engine.paths.catalog.unlink()
    again = JobEngine(settings(workspace))
    taken = again.get(job.id)
    assert (taken.state, taken.attempt) == ("running", 1)
    gate.open()
    ended = finish(again, job.id)
    record(jobs_lost=int(ended.state != "succeeded"), artifacts_corrupt=wrong_artifacts(again, job.id, 30))
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    again.close()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, record: Record, how: str) -> None:
    checkpoints = Checkpoints(tmp_path / "ckpt")
    for step in (1, 2, 3):
        with checkpoints.save(step) as folder:
            (folder / "weights.bin").write_bytes(bytes([step]) * 100)
    newest = checkpoints.latest()
    assert newest is not None
    assert newest.step == 3
    damage(newest.folder / "weights.bin", how, random.Random(7))
    before = checkpoints.latest()
    assert before is not None
    assert (before.step, (before.folder / "weights.bin").read_bytes()) == (2, b"\x02" * 100)
    damage(before.folder / "seal.json", how, random.Random(7))
    assert checkpoints.latest() is None
    record(damaged=2)
