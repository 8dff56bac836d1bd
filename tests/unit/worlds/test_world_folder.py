"""A world's folder: the same bytes from the same seed, a sealed truth, and errors that say what was wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from interp_lab.contracts.prompts import PromptFile, ScoredPrompt
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.corpus.prompt_set import load_prompt_set
from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.errors import ImpossibleWorld, InvalidWorld, SealBroken, WorldNotVerified
from interp_lab.models.load import load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address
from interp_lab.worlds.__main__ import main
from interp_lab.worlds.catalogue import KINDS, make_world, refuse_unverified
from interp_lab.worlds.folder import open_truth, read_manifest, write_world

SMALL = {"prompts": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds") / "planted"
    write_world(make_world("planted", 5, **SMALL), path)
    return path


def test_the_manifest_says_nothing_of_the_truth(folder: Path) -> None:
    text = (folder / "world.json").read_text()
    truth = open_truth(folder)
    assert isinstance(truth, PlantedTruth)
    assert not any(word in text for word in (*truth.triggers, *truth.targets, "cause", "resid_post"))


def test_a_changed_truth_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path)
    sealed = copy / "sealed" / "truth.json"
    sealed.write_bytes(sealed.read_bytes().replace(b"cause", b"clause", 1))
    with pytest.raises(SealBroken, match=r"sealed/truth\.json"):
        open_truth(copy)


def test_a_changed_prompt_breaks_the_seal_too(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path)
    (copy / "prompts.jsonl").unlink()
    with pytest.raises(SealBroken, match=r"prompts\.jsonl"):
        open_truth(copy)


def test_an_untouched_copy_opens(folder: Path, tmp_path: Path) -> None:
    assert open_truth(_copy(folder, tmp_path)) == open_truth(folder)


def test_the_model_is_a_plain_folder_that_the_engine_reads(folder: Path) -> None:
    truth = open_truth(folder)
    assert isinstance(truth, PlantedTruth)
    cause = next(found for found in truth.features if found.name == "cause")
    loaded = load_model(ModelSource("local", "planted", folder / "model"))
    prompts = [ScoredPrompt.model_validate_json(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    batch = make_batch(loaded, tokenize(loaded, {str(p.id): p.text for p in prompts}))
    address = Address.parse(cause.address)
    with capture(loaded, [address]) as run:
        values = (run(batch)[address] @ torch.tensor(cause.direction)) * batch.mask
    positive = torch.tensor([prompt.score == 1.0 for prompt in prompts])
    assert values.amax(1)[positive].mean() == pytest.approx(cause.typical, rel=1e-4)
    assert values.amax(1)[~positive].max() < 0.01 * cause.typical


def test_the_dataset_is_a_prompt_file_like_any_other(folder: Path) -> None:
    def lines(path: str) -> list[tuple[int, object]]:
        return list(enumerate(map(json.loads, (folder / path).read_text().splitlines()), 1))

    prompts = load_prompt_set(PromptFile(path="prompts.jsonl"), read_lines=lines, load_builtin=lambda _: ())
    assert len(prompts.prompts) == SMALL["prompts"]
    assert all(p.text[p.spans[0].start : p.spans[0].end] == p.text.split()[-1] for p in prompts.prompts)


def test_a_world_is_never_written_over_another(folder: Path) -> None:
    with pytest.raises(ImpossibleWorld, match="not empty"):
        write_world(make_world("planted", 6, **SMALL), folder)


def test_a_folder_without_a_manifest_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(InvalidWorld):
        read_manifest(tmp_path)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ImpossibleWorld, match="planted"):
        make_world("plantet", 0)


def test_a_dial_outside_its_range_is_named() -> None:
    with pytest.raises(ImpossibleWorld, match="effect"):
        make_world("planted", 0, effect=-1.0)


def test_a_truth_with_a_failed_check_is_refused() -> None:
    truth = make_world("planted", 5, **SMALL).truth
    assert isinstance(truth, PlantedTruth)
    first, *rest = truth.checks
    refuse_unverified(truth)
    with pytest.raises(WorldNotVerified, match=first.name):
        refuse_unverified(truth.model_copy(update={"checks": (first.model_copy(update={"expected": 99.0}), *rest)}))


def test_the_command_writes_a_world_that_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["planted", "--seed", "5", "--out", str(tmp_path / "w"), "--dials", json.dumps(SMALL)]) == 0
    assert "checks hold" in capsys.readouterr().out
    assert open_truth(tmp_path / "w").kind == "planted"


def test_the_command_says_why_it_made_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["planted", "--seed", "5", "--out", str(tmp_path / "w"), "--dials", '{"prompts": 7}']) == 2
    assert "impossible_world" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind: str) -> None:
    first, again, other = (make_world(kind, seed) for seed in (11, 11, 12))
    assert {**first.open_files, **first.sealed_files} == {**again.open_files, **again.sealed_files}
    assert first.sealed_files != other.sealed_files


def _copy(folder: Path, to: Path) -> Path:
    for path in folder.rglob("*"):
        if path.is_file():
            target = to / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return to
