# pyright: standard
"""Harvest two versions of a model, train a crosscoder on both stores, diff them with it: on disk, step by step."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.diff_models import DiffModelsRequest, ModelDiffReport
from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.errors import DictionaryMismatch
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.store.reader import open_store
from interp_lab.workflows.diff_models import diff_models
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.train_sae import train_sae

PLACE = "resid_post.1"
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")
Load = Callable[[str], Any]
BASE = {"id": "base"}
EDITED = {"id": "edited"}


@pytest.fixture
def folder(load_tiny: Load, tmp_path: Path) -> Path:
    """A base, and an edited version in which one coordinate of the stream is never written."""
    loaded = load_tiny("gpt2")
    shutil.copytree(loaded.source.directory, tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "edited")
    state = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith(("wte.weight", "wpe.weight", "c_proj.weight", "lm_head.weight")):
            tensor[:, 3] = 0
    twin = type(loaded.model)(loaded.model.config)
    twin.load_state_dict(state)
    twin.save_pretrained(tmp_path / "edited")
    dice = random.Random(3)
    stems = [" ".join(dice.choices(WORDS, k=8)) for _ in range(60)]
    rows = [{"text": f"{stem} {end}", "score": score} for stem in stems for end, score in (("cat", 1), ("dog", 0))]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return tmp_path


def harvested(folder: Path, name: str, model: dict[str, str]) -> str:
    """Write a store of one model and return how it is named."""
    asked = {"model": model, "dataset": "p.jsonl", "addresses": [PLACE], "dtype": "float32"}
    with LocalRun(folder / name, workspace=folder) as run:
        harvest(HarvestRequest.model_validate(asked), run, settings=Settings(workspace=folder))
    return str(run.written[0].relative_to(folder))


def crosscoder(folder: Path, changed: dict[str, str], **options: Any) -> str:
    """Train one on the stores of the base and of the changed model, and return how it is named."""
    stores = [harvested(folder, name, model) for name, model in (("one", BASE), ("two", changed))]
    asked: dict[str, Any] = {
        "source": {"kind": "stores", "stores": stores},
        "kind": "crosscoder",
        "architecture": "batchtopk",
        "addresses": [PLACE],
        "widths": [48],
        "sparsities": [6],
        "evaluations": 1,
        "training": {"total_tokens": 60_000, "batch_tokens": 256, "learning_rate": 5e-3},
    }
    with LocalRun(folder / "trained", workspace=folder) as run:
        train_sae(
            TrainSaeRequest.model_validate(asked | options),
            run,
            settings=Settings(workspace=folder),
            suggest=lambda _: (),
        )
    (made,) = (folder / "trained").glob("dictionary-*")
    return str(made.relative_to(folder))


def diffed(folder: Path, base: dict[str, str], changed: dict[str, str], name: str) -> ModelDiffReport:
    asked = {
        "base": base, "changed": changed, "criterion": "ends in cat", "dataset": "p.jsonl", "addresses": [PLACE],
        "pooling": "last", "n_units": 5, "crosscoder": name,
    }  # fmt: skip
    with LocalRun(folder / f"diff-{random.random()}", workspace=folder) as run:
        diff_models(
            DiffModelsRequest.model_validate(asked), run, settings=Settings(workspace=folder), suggest=lambda _: ()
        )
    return ModelDiffReport.model_validate_json((run.written[0] / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_crosscoder_of_a_model_and_its_rounded_self_has_no_latent_of_one_of_them_and_the_headline_says_so(
    folder: Path, dtype: str
) -> None:
    rounded = {"id": "base", "dtype": dtype}
    report = diffed(folder, BASE, rounded, crosscoder(folder, rounded))
    assert report.changed.dtype == ("bfloat16" if dtype == "bfloat16" else "int8 weights, float32")
    models = [
        open_store(next((folder / name).glob("*/manifest.json")).parent).manifest.model for name in ("one", "two")
    ]
    assert [model.weights_hash for model in models] == [report.base.weights_sha256, report.changed.weights_sha256]
    assert report.weights, "rounded weights differ"
    assert (report.n_crosscoder_latents or 0) > 10
    assert (report.n_exclusive, report.n_artefacts, report.exclusive) == (0, 0, ())
    assert "crosscoder latents that fire none looks exclusive to one model" in report.headline
    assert "0 weakened, 0 lost, 0 new" in report.headline


def test_what_looks_exclusive_to_an_l1_crosscoder_of_an_edited_model_is_told_with_its_artefacts(folder: Path) -> None:
    name = crosscoder(folder, EDITED, architecture="relu", sparsities=[0.05])
    report = diffed(folder, BASE, EDITED, name)
    assert report.n_exclusive is not None
    assert report.n_artefacts == sum(each.artefact is not None for each in report.exclusive)
    assert report.n_exclusive == len(report.exclusive)
    assert f"{report.n_crosscoder_latents} crosscoder latents" in report.headline
    with pytest.raises(DictionaryMismatch, match="edited is the base"):
        diffed(folder, EDITED, BASE, name)
