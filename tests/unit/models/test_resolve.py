from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp_lab.errors import HubUnreachable, InvalidRequest, UnknownModel
from interp_lab.models import resolve
from interp_lab.models.resolve import builtin_models, fetch_model, locate_model, source_kind

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("pocket-gpt2", "pocket-llama"):
        (tmp_path / "weights" / name).mkdir(parents=True)
        (tmp_path / "weights" / name / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "weights" / "unfinished").mkdir()
    monkeypatch.setattr(resolve, "_BUILTIN_ROOT", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    root = tmp_path / "hub"
    snapshot = root / "models--org--name" / "snapshots" / SHA
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}", encoding="utf-8")
    (snapshot / "model.safetensors").write_bytes(b"")
    (root / "models--org--name" / "refs").mkdir()
    (root / "models--org--name" / "refs" / "main").write_text(SHA, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    return root


@pytest.mark.parametrize(
    ("model_id", "exists", "kind"),
    [
        ("builtin:pocket-gpt2", False, "builtin"),
        ("models/mine", True, "local"),
        ("models/mine", False, "hub"),
        ("gpt2", False, "hub"),
        ("openai-community/gpt2", False, "hub"),
        ("deep/in/the/workspace", True, "local"),
    ],
)
def test_a_name_says_what_kind_of_model_it_is(model_id: str, exists: bool, kind: str) -> None:
    assert source_kind(model_id, exists_locally=exists) == kind


@pytest.mark.parametrize("model_id", ["deep/in/the/workspace", "../up", "/etc", "a..b/c", "", "white space", "-x/y"])
def test_a_name_that_can_be_nothing_is_refused(model_id: str) -> None:
    with pytest.raises(UnknownModel, match="workspace"):
        source_kind(model_id, exists_locally=False)


def test_packaged_models_are_listed_and_found(packaged: Path) -> None:
    assert builtin_models() == ("pocket-gpt2", "pocket-llama")
    found = locate_model("builtin:pocket-llama")
    assert found is not None
    assert (found.kind, found.directory, found.commit) == ("builtin", packaged / "pocket-llama", None)


@pytest.mark.parametrize("model_id", ["builtin:poket-gpt2", "builtin:unfinished", "builtin:../weights/pocket-gpt2"])
def test_an_unknown_packaged_model_is_refused_with_near_names(packaged: Path, model_id: str) -> None:
    with pytest.raises(UnknownModel, match="builtin:pocket-gpt2"):
        locate_model(model_id)


def test_a_directory_of_the_workspace_is_found(tmp_path: Path) -> None:
    found = fetch_model("mine", local=tmp_path)
    assert (found.kind, found.id, found.directory) == ("local", "mine", tmp_path)


@pytest.mark.parametrize("model_id", ["builtin:pocket-gpt2", "mine"])
def test_a_revision_of_a_model_without_revisions_is_refused(packaged: Path, model_id: str) -> None:
    with pytest.raises(InvalidRequest, match="no revisions"):
        locate_model(model_id, revision="main", local=packaged if model_id == "mine" else None)


def test_a_cached_hub_model_is_found_without_network_and_names_its_commit(hub_cache: Path) -> None:
    found = fetch_model("org/name", offline=True)
    assert (found.kind, found.commit) == ("hub", SHA)
    assert found.directory.name == SHA


def test_a_hub_model_that_was_not_fetched_is_nowhere_yet(hub_cache: Path) -> None:
    assert locate_model("org/other") is None


def test_a_cached_folder_without_weights_does_not_count_as_fetched(hub_cache: Path) -> None:
    (hub_cache / "models--org--name" / "snapshots" / SHA / "model.safetensors").unlink()
    assert locate_model("org/name") is None


def test_a_download_that_was_cut_off_between_two_shards_is_not_taken_for_a_model(hub_cache: Path) -> None:
    snapshot = hub_cache / "models--org--name" / "snapshots" / SHA
    (snapshot / "model.safetensors").rename(snapshot / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    assert locate_model("org/name") is None
    (snapshot / shards["b"]).write_bytes(b"")
    assert locate_model("org/name") is not None


def test_a_hub_model_that_is_not_here_is_refused_when_offline(hub_cache: Path, packaged: Path) -> None:
    with pytest.raises(HubUnreachable, match="builtin:pocket-gpt2"):
        fetch_model("org/other", offline=True)


def test_a_hub_that_does_not_answer_is_an_error_of_its_own(hub_cache: Path) -> None:
    with pytest.raises(HubUnreachable, match="did not answer"):
        fetch_model("org/other")
