"""The model that a request names is found in the box or in the workspace, and nowhere else on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from interp_lab.contracts.models import ModelRef
from interp_lab.errors import InvalidRequest, PathOutsideWorkspace, UnknownModel
from interp_lab.models.reference import fetch, fingerprint, known_models, locate
from interp_lab.settings import Settings


@pytest.fixture
def settings(tiny_models: Callable[[str], Path], tmp_path: Path) -> Settings:
    shutil.copytree(tiny_models("gpt2"), tmp_path / "models" / "mine")
    return Settings(workspace=tmp_path, offline=True)


def test_a_directory_of_the_workspace_is_found_by_its_relative_path(settings: Settings) -> None:
    source = locate(ModelRef(id="models/mine"), settings)
    assert source is not None
    assert source.kind == "local"
    assert source.directory == (settings.workspace / "models" / "mine").resolve()


def test_the_models_in_the_box_and_in_the_workspace_are_known(settings: Settings) -> None:
    known = known_models(settings)
    assert "builtin:pocket-llama" in known
    assert "models/mine" in known


def test_hidden_folders_are_not_searched_for_models(settings: Settings) -> None:
    shutil.copytree(settings.workspace / "models" / "mine", settings.workspace / ".cache" / "theirs")
    assert ".cache/theirs" not in known_models(settings)


@pytest.mark.guarantee("workspace-confines")
@pytest.mark.parametrize("name", ["../mine", "models/../../mine", "models/link"])
def test_a_model_outside_the_workspace_is_refused(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(settings.workspace / "models" / "mine", outside / "mine")
    (settings.workspace / "models" / "link").symlink_to(outside / "mine")
    with pytest.raises(PathOutsideWorkspace):
        locate(ModelRef(id=name), settings)


def test_a_hub_id_that_was_never_fetched_is_not_here_and_offline_it_cannot_be_fetched(settings: Settings) -> None:
    from interp_lab.errors import HubUnreachable

    ref = ModelRef(id="some-org/some-model-that-nobody-has")
    assert locate(ref, settings) is None
    with pytest.raises(HubUnreachable):
        fetch(ref, settings)


def test_a_misspelt_name_is_answered_with_the_nearest(settings: Settings) -> None:
    with pytest.raises(UnknownModel, match="pocket-llama"):
        locate(ModelRef(id="builtin:pocket-lama"), settings)


def test_the_fingerprint_of_a_model_changes_with_its_files_only(settings: Settings) -> None:
    ref = ModelRef(id="models/mine")
    before = fingerprint(ref, settings)
    assert fingerprint(ref, settings) == before
    os.utime(settings.workspace / "models" / "mine" / "config.json", ns=(1, 1))  # a touch may be within one tick
    assert fingerprint(ref, settings) != before


def test_only_hub_models_have_revisions(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="revision"):
        locate(ModelRef(id="models/mine", revision="main"), settings)
