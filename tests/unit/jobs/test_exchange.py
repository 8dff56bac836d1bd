"""The object store by which shards hand over: nothing is left in it, and whoever uploads hears that it is to stop."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.parts.exchange import Exchange
from interp_lab.jobs.parts.program import EXIT_SUPERSEDED, run_part
from interp_lab.jobs.parts.record import Outcome, PartFolder, PartName, Start
from interp_lab.settings import Settings
from tests.contract import part_worker
from tests.parts_here import JOB, HerePlace, as_a_process, in_parts, job_of, part

SHARD = PartName(0, 0)


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # whoever does not listen in time ends the process, which is this one
    return Settings(workspace=tmp_path, exchange="memory://exchange", kill_grace_s=10**6)


def asked(tmp_path: Path) -> dict[str, Any]:
    return {"book": str(tmp_path / "book.txt"), "steps": 2, "shards": 2}


def begun(settings: Settings, number: int = 1) -> PartFolder:
    """Let a job's first shard be planned and its try be the newest."""
    job_of(settings, "count", asked(settings.workspace))
    lead, shard = part(settings, PartName(0)), part(settings, SHARD)
    for each in (lead, shard):
        each.prepare()
    lead.write_outcome(Outcome(number=1, state="done", payloads=(0, 1)))
    shard.write_start(Start(number=number))
    return shard


def run_shard(settings: Settings, number: int = 1) -> int:
    with as_a_process(settings.to_env()):
        return run_part(("--part", JOB, str(SHARD), str(number)), part_worker.find_work)


def test_a_folder_that_every_node_sees_is_an_exchange_and_nothing_is_left_of_any_try(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    settings = Settings(workspace=tmp_path / "w", exchange=folder.as_uri())
    settings.workspace.mkdir()
    half = folder / JOB / str(SHARD) / "1" / "counted-00000.txt"
    half.parent.mkdir(parents=True)
    half.write_text("half of what a try put there that was killed")
    seen: dict[str, list[str]] = {}

    def after(task: str) -> None:
        seen[task] = sorted(path.relative_to(folder / JOB).as_posix() for path in folder.rglob("*.txt"))

    run = job_of(settings, "count", asked(tmp_path))
    lost = f"{SHARD}-1"
    result = in_parts(
        run, settings, HerePlace(part_worker.find_work, settings.to_env(), lambda task: task == lost, after)
    )
    assert result["first"] == 2, "both shards' numbers were there"
    assert seen["shard-0-00001-1"] == ["shard-0-00001/1/counted-00001.txt"] or seen["shard-0-00001-1"] == [
        "shard-0-00000/1/counted-00000.txt", "shard-0-00001/1/counted-00001.txt",
    ]  # fmt: skip
    assert "shard-0-00000/2/counted-00000.txt" in seen["shard-0-00000-2"]
    assert "shard-0-00000/1/counted-00000.txt" not in seen["shard-0-00000-2"]
    assert seen["lead-1-1"] == []


def test_a_try_that_another_has_replaced_takes_back_what_it_put_there(settings: Settings) -> None:
    shard = begun(settings)
    part_worker_shard = part_worker.shard

    def overtaken(*of: Any) -> None:
        part_worker_shard(*of)
        shard.write_start(Start(number=2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_worker, "shard", overtaken)
        assert run_shard(settings) == EXIT_SUPERSEDED
    assert MemoryFileSystem.store == {}
    assert shard.read_outcome() is None
    assert run_shard(settings, 2) == 0
    assert len(MemoryFileSystem.store) == 1, "the newest try's stays"


def test_cancelling_is_heard_while_an_upload_hangs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = begun(settings)
    never = threading.Event()

    def hangs(*_: object, **__: object) -> None:
        JobFolder(WorkspacePaths.of(settings), JOB).cancel_flag.touch()
        never.wait(600)

    monkeypatch.setattr(MemoryFileSystem, "put_file", hangs)
    try:
        run_shard(settings)
        outcome = shard.read_outcome()
        assert outcome is not None
        assert outcome.state == "cancelled"
        assert not never.is_set()
    finally:
        never.set()


def test_a_job_that_repeats_another_finds_what_its_shards_put_there_and_removes_it(settings: Settings) -> None:
    shard = begun(settings)
    shard.output.mkdir()
    (shard.output / "counted-00000.txt").write_text("0")
    files = shard.made()
    objects = Exchange(settings, "earlier").hand_over(shard, 3, files, lambda: None)
    shard.write_outcome(Outcome(number=3, state="done", files=files, objects=objects))
    assert not shard.is_whole()
    again = Exchange(settings, JOB)
    again.fetch(shard, lambda: None)
    assert shard.is_whole()
    again.drop(shard)
    assert MemoryFileSystem.store == {}


@pytest.mark.parametrize(
    "said", [{"objects": "everything"}, {"objects": "../a/1"}, {"name": "../../a"}, {"name": ".."}]
)
def test_an_outcome_that_names_something_outside_its_place_is_a_damaged_one(
    settings: Settings, said: dict[str, str]
) -> None:
    shard = begun(settings)
    file = {"name": said.get("name", "a"), "sha256": "0" * 64, "bytes": 1}
    whole = {"number": 1, "state": "done", "objects": said.get("objects", "a/b/1"), "files": [file]}
    (shard.path / "outcome.json").write_text(json.dumps(whole))
    assert shard.read_outcome() is None
    (shard.path / "outcome.json").write_text(json.dumps(whole | {"objects": "a/b/1", "files": [file | {"name": "a"}]}))
    assert shard.read_outcome() is not None
