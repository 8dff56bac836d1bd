# pyright: standard
"""Labels without a meaning and networks without training give nothing, on the datasets and models in the box.

The whole table is `make criteria-table`; this is the part of it that every change has to pass.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.catalogue import load_preset
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.association import associate
from interp_lab.methods.taught_in_order import blocks_of, in_order
from interp_lab.models.resolve import locate_model
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import RECIPES
from interp_lab.settings import Settings
from interp_lab.statistics.auroc_difference import auroc_difference
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.learning import learn
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.inspection.tables import Pooled

CARRIED = "measurement-unit"
UNTOLD = "question"
"""Read at the last token, before the mark that would tell. An untrained network is no silent control where words tell:
its coordinates carry the words that it reads."""
LEARNED = "person-name"
"""Directions of it are called in the trained network."""
SHUFFLES = 100


def _read(dataset: str, model: str, folder: Path) -> tuple[Design, Pooled]:
    preset = load_preset(dataset)
    request = InspectRequest(
        model=ModelRef(id=model),
        criterion=preset.criterion,
        dataset=BuiltinDataset(name=dataset),
        pooling=preset.pooling,
    )
    inputs = open_inputs(request, Settings(workspace=folder))
    with LocalRun(folder / "run", seed=0) as run:
        return design(inputs), pool_prompts(inputs, run)


def _called(plan: Design, pooled: Pooled, sample: Sample) -> tuple[int, float]:
    rows = plan.rows("explore")
    found = pooled.associate(rows, sample.take(rows))
    return int((found.q <= 0.05).sum()), float((found.p <= 0.05).mean())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Pooled]:
    return _read(CARRIED, "builtin:pocket-llama", tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Pooled]:
    return _read_untrained(UNTOLD, tmp_path_factory.mktemp("untrained"))


def _read_untrained(dataset: str, folder: Path) -> tuple[Design, Pooled]:
    source = locate_model("builtin:pocket-llama")
    assert source is not None
    build(RECIPES["pocket-llama"]).save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source.directory / name, folder / "model" / name)
    return _read(dataset, "model", folder)


def _shuffled(sample: Sample, rng: np.random.Generator) -> Sample:
    labels = sample.labels.copy()
    for group in range(sample.n_groups):
        rows = np.flatnonzero(sample.groups == group)
        labels[rows] = rng.permutation(labels[rows])
    return Sample(labels, sample.groups)


def _directions(plan: Design, pooled: Pooled, sample: Sample) -> tuple[int, np.ndarray]:
    """Differences of means at every layer: how many are called, and confirm rows along the one that ranks first."""
    rows, held = plan.rows("explore"), plan.rows("confirm")
    known = sample.take(rows)
    blocks = blocks_of(known, seed=plan.split.seed)
    ordered: list[np.ndarray] = []
    confirm: list[np.ndarray] = []
    for columns in pooled.columns.values():
        values = pooled.values[rows, columns].astype(np.float64)
        found = learn("difference_of_means", values, known, blocks, n_components=1, seed=0)
        ordered.append(in_order(values @ found.whole.T, [values @ each.T for each in found.earlier], blocks))
        confirm.append(pooled.values[held, columns] @ found.whole.T)
    late = np.flatnonzero(blocks > 0)
    ranked = associate(np.concatenate(ordered, axis=1)[late], known.take(late))
    return int((ranked.q <= 0.05).sum()), np.concatenate(confirm, axis=1)[:, int(ranked.strongest(1)[0])]


def test_directions_that_training_made_are_not_in_random_weights_nor_in_shuffled_labels(tmp_path: Path) -> None:
    plan, pooled = _read(LEARNED, "builtin:pocket-llama", tmp_path / "trained")
    twin_plan, twin = _read_untrained(LEARNED, tmp_path / "untrained")
    n_called, scores = _directions(plan, pooled, plan.sample)
    n_of_random, random = _directions(twin_plan, twin, twin_plan.sample)
    assert n_called >= 3
    assert n_of_random == 0
    held = plan.sample.take(plan.rows("confirm"))
    assert auroc_difference(scores, random, held).low > 0
    assert _directions(plan, pooled, _shuffled(plan.sample, np.random.default_rng(1)))[0] == 0


def test_a_criterion_that_the_model_carries_is_found(trained: tuple[Design, Pooled]) -> None:
    plan, pooled = trained
    n_called, share = _called(plan, pooled, plan.sample)
    assert n_called > 0.2 * pooled.values.shape[1]
    assert share > 0.2


def test_shuffled_labels_call_anything_no_more_often_than_stated(trained: tuple[Design, Pooled]) -> None:
    plan, pooled = trained
    rng = np.random.default_rng(0)
    runs = [_called(plan, pooled, _shuffled(plan.sample, rng)) for _ in range(SHUFFLES)]
    searches = np.mean([n_called > 0 for n_called, _ in runs])
    assert searches <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / SHUFFLES)
    shares = np.array([share for _, share in runs])
    assert abs(shares.mean() - 0.05) <= 3 * shares.std(ddof=1) / math.sqrt(SHUFFLES) + 0.005


def test_random_weights_find_nothing_where_no_word_tells(untrained: tuple[Design, Pooled]) -> None:
    plan, pooled = untrained
    n_called, _ = _called(plan, pooled, plan.sample)
    assert n_called == 0
