"""A dictionary of another project becomes an artifact, from a folder or from the hub's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from interp_lab.contracts.import_dictionary import ImportDictionaryRequest, ImportDictionaryResult
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.errors import HubUnreachable, InvalidDictionary, InvalidPath
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.workflows.import_dictionary import import_dictionary

SHA = "0123456789abcdef0123456789abcdef01234567"


def _params(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    shapes = {"W_enc": (6, 12), "W_dec": (12, 6), "b_enc": (12,), "b_dec": (6,), "threshold": (12,)}
    tensors = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    np.savez(folder / "params.npz", **tensors)
    return tensors


def _import(tmp_path: Path, **facts: object) -> ImportDictionaryResult:
    request = ImportDictionaryRequest.model_validate(facts)
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        return import_dictionary(request, run, settings=Settings(workspace=tmp_path, offline=True))


def test_a_folder_becomes_an_artifact_that_computes_the_same(tmp_path: Path) -> None:
    tensors = _params(tmp_path / "scope")
    result = _import(tmp_path, source="scope", address="resid_post.4", model="gemma")
    (folder,) = (tmp_path / "out").glob("dictionary-*")
    made = load_dictionary(folder)
    assert (result.format, result.architecture, result.address) == ("gemma_scope", "jumprelu", "resid_post.4")
    assert (made.config.source, made.config.models, made.config.provenance) == ("scope", ("gemma",), "imported")
    assert all(torch.equal(made.tensors()[name], torch.from_numpy(value)) for name, value in tensors.items())


def test_a_dictionary_without_a_place_says_so(tmp_path: Path) -> None:
    _params(tmp_path / "scope")
    assert any("do not say where" in line for line in _import(tmp_path, source="scope").warnings)


def test_a_folder_of_the_hubs_cache_is_found_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "hub"
    repo = root / "models--google--gemma-scope-2b-pt-res"
    _params(repo / "snapshots" / SHA / "layer_3" / "width_16k" / "average_l0_50")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(SHA, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    source = {"kind": "hub", "repo": "google/gemma-scope-2b-pt-res", "folder": "layer_3/width_16k/average_l0_50"}
    result = _import(tmp_path, source=source)
    assert SHA in result.summary
    with pytest.raises(InvalidDictionary):
        _import(tmp_path, source=source | {"folder": "layer_9"})
    with pytest.raises(HubUnreachable):
        _import(tmp_path, source=source | {"repo": "google/another"})


def test_what_is_not_there_or_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDictionary, match="no known format"):
        _import(tmp_path, source="empty")
    with pytest.raises(InvalidPath):
        _import(tmp_path, source="absent")
