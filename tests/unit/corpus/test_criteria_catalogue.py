from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab import assets
from interp_lab.corpus.catalogue import list_builtin_datasets, list_presets, load_builtin_dataset, load_preset
from interp_lab.corpus.criteria.__main__ import main
from interp_lab.corpus.criteria.registry import CRITERIA
from interp_lab.errors import DamagedAsset, UnknownDataset


def test_the_catalogue_lists_every_criterion_of_the_registry_and_nothing_else() -> None:
    names = sorted(criterion.description.name for criterion in CRITERIA)
    assert list(list_builtin_datasets()) == names
    assert [preset.name for preset in list_presets()] == names


def test_a_dataset_loads_by_name_in_the_order_of_its_ids() -> None:
    prompts = load_builtin_dataset("question")
    assert [prompt.id for prompt in prompts] == [f"question-{number:04d}" for number in range(len(prompts))]


@pytest.mark.parametrize("name", ["no-such-dataset", "../presets/question", ""])
def test_a_name_that_is_not_in_the_box_is_refused_with_the_names_that_are(name: str) -> None:
    with pytest.raises(UnknownDataset, match="question"):
        load_builtin_dataset(name)
    with pytest.raises(UnknownDataset, match="question"):
        load_preset(name)


def _box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, suffix in (("datasets", "jsonl"), ("presets", "json")):
        (folder / kind).mkdir()
        (folder / kind / f"broken.{suffix}").write_text('{"text": 1}\n', encoding="utf-8")
    monkeypatch.setattr(assets, "assets_root", lambda kind: folder)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


def test_a_damaged_file_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _box(tmp_path, monkeypatch)
    with pytest.raises(DamagedAsset, match="dataset 'broken'"):
        load_builtin_dataset("broken")
    with pytest.raises(DamagedAsset, match="preset 'broken'"):
        load_preset("broken")


def test_the_check_names_files_that_are_missing_or_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("interp_lab.corpus.criteria.render.CRITERIA", CRITERIA[-1:])
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0
    (tmp_path / "datasets" / "stray.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "presets" / "wrong-punctuation.json").unlink()
    assert main(["--out", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "datasets/stray.jsonl differs",
        "presets/wrong-punctuation.json differs",
    ]
