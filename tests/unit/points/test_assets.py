from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab import assets
from interp_lab.errors import UnknownAsset


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "interp_lab").mkdir()
    (tmp_path / "prompts" / "criteria").mkdir(parents=True)
    (tmp_path / "prompts" / "criteria" / "question.json").write_text('"?"', encoding="utf-8")
    (tmp_path / "secret.txt").write_text("no", encoding="utf-8")
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path / "interp_lab")
    return tmp_path


def test_a_checkout_reads_the_folder_of_the_repository(checkout: Path) -> None:
    assert assets.asset_text("prompts", "criteria/question.json") == '"?"'
    assert assets.asset_names("prompts") == ("criteria/question.json",)


def test_the_packaged_copy_wins_over_the_repository(checkout: Path) -> None:
    packaged = checkout / "interp_lab" / "_assets" / "prompts"
    packaged.mkdir(parents=True)
    (packaged / "a.txt").write_text("packaged", encoding="utf-8")
    assert assets.asset_names("prompts", "*.txt") == ("a.txt",)
    assert assets.asset_text("prompts", "a.txt") == "packaged"


@pytest.mark.parametrize("name", ["../secret.txt", "criteria", "missing.json", "", "criteria/../../secret.txt"])
def test_a_name_that_is_no_packaged_file_is_refused(checkout: Path, name: str) -> None:
    with pytest.raises(UnknownAsset):
        assets.asset_text("prompts", name)


def test_an_absolute_name_is_refused(checkout: Path) -> None:
    with pytest.raises(UnknownAsset):
        assets.asset_text("prompts", str(checkout / "secret.txt"))


def test_a_link_out_of_the_folder_is_refused(checkout: Path) -> None:
    (checkout / "prompts" / "link.txt").symlink_to(checkout / "secret.txt")
    with pytest.raises(UnknownAsset):
        assets.asset_text("prompts", "link.txt")
