"""A harvest in shards: the very files of one process, also when shards are lost or damaged on the way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.errors import CannotBeSharded, WorkerKilled
from interp_lab.jobs.parts.record import PartName
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches
from interp_lab_server.worker import find_work
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.parts_here import HerePlace, damage, in_parts, job_of, part

REQUEST: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "dataset": "corpus.txt",
    "addresses": ["resid_post.1", "mlp_out.0"],
    "metrics": ["loss", "token_class"],
    "shards": 3,
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(stretches, "BUFFER_BYTES", 2**19)
    monkeypatch.setattr(record, "SHARD_BYTES", 2**17)
    draw = random.Random(0)
    told = "the men went down to town and came home before night fell by water"
    words = told.split()
    texts = [" ".join(draw.choices(words, k=120)) for _ in range(16)]
    (tmp_path / "corpus.txt").write_text("\n\n".join(texts))
    return Settings(workspace=tmp_path)


def whole(settings: Settings) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files and the answer of the harvest in one process."""
    with LocalRun(settings.workspace / "whole", workspace=settings.workspace) as run:
        answer = harvest(HarvestRequest.model_validate(REQUEST), run, settings=settings)
        (folder,) = run.written
    return files_in(folder), answer.model_dump(mode="json", exclude_none=True, exclude={"tokens_per_s"})


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def test_shards_give_the_files_and_the_answer_of_one_process_though_one_is_lost_and_one_damaged(
    settings: Settings,
) -> None:
    run = job_of(settings, "harvest", REQUEST)
    second = part(settings, PartName(0, 1))

    def after(task: str) -> None:
        if task == "shard-0-00002-1":
            damage(next(second.output.glob("resid_post*.safetensors")))

    place = HerePlace(find_work, settings.to_env(), vanish=lambda task: task == "shard-0-00000-1", after=after)
    answer = in_parts(run, settings, place)
    assert place.started == [
        "lead-0-1", "shard-0-00000-1", "shard-0-00001-1", "shard-0-00002-1", "shard-0-00000-2",
        "lead-1-1", "shard-0-00001-2", "lead-1-2",
    ]  # fmt: skip
    (store,) = run.sealed
    expected, told = whole(settings)
    assert len(expected) > 3 * 3
    assert files_in(store.folder) == expected
    assert dict(answer) == told


def test_a_shard_that_is_lost_again_and_again_ends_the_job(settings: Settings) -> None:
    run = job_of(settings, "harvest", REQUEST)
    place = HerePlace(find_work, settings.to_env(), vanish=lambda task: task.startswith("shard-0-00001"))
    with pytest.raises(WorkerKilled, match="shard-0-00001 of the job was lost 3 times"):
        in_parts(run, settings, place)


def test_more_shards_than_files_of_the_store_are_not_made(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "SHARD_BYTES", 2**26)
    run = job_of(settings, "harvest", REQUEST)
    place = HerePlace(find_work, settings.to_env())
    in_parts(run, settings, place)
    assert place.started == ["lead-0-1", "shard-0-00000-1", "lead-1-1"]


def test_generated_text_is_refused_before_anything_starts(settings: Settings) -> None:
    with Lab.open(settings) as lab, pytest.raises(CannotBeSharded):
        call(lab, "harvest", REQUEST | {"generate": {"max_new_tokens": 4}, "dry_run": True})
