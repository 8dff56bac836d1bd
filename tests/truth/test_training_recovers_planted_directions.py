"""Directions that were planted are found, and not where there are none, and not before training."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.worlds.sparse.build import build_sparse
from interp_lab.worlds.sparse.carrier import carrier, random_weights, read_all

FEATURES, WIDTH, ROWS, BATCH, EPOCHS = 96, 64, 24_000, 512, 12
DIALS = DictionaryDials(
    features=FEATURES, width=WIDTH, rows=ROWS, roots=0, probabilities=(0.1, 0.004), orthogonal_steps=50
)


class Planted(NamedTuple):
    """A world, with the directions of the features that fire on at least a thousandth of its rows."""

    rows: Tensor
    directions: Tensor
    l0: float


@cache
def _world() -> Planted:
    built = build_sparse("dictionary", DIALS, 1)
    fires = built.features > 0
    often = torch.from_numpy(fires.mean(axis=0) >= 1e-3)
    directions = torch.from_numpy(built.sealed["directions"])[often]
    return Planted(torch.from_numpy(built.visible["activations"]), directions, float(fires.sum(axis=1).mean()))


def _config(k: float) -> DictionaryConfig:
    """Return one whose k is the number of truly active features: with more, latents split; with fewer, they merge."""
    return DictionaryConfig(architecture="batchtopk", d_in=WIDTH, d_out=WIDTH, n_latents=2 * FEATURES, k=k)


def _train(rows: Tensor, k: float, epochs: int) -> Trainer:
    steps = len(rows) // BATCH * epochs
    training = TrainingConfig(
        total_tokens=steps * BATCH, batch_tokens=BATCH, learning_rate=1e-2, warmup_steps=20,
        decay_steps=int(0.7 * steps), dead_window_tokens=10_000,
    )  # fmt: skip
    trainer = Trainer(_config(k), training)
    draw = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        for part in torch.randperm(len(rows), generator=draw)[: len(rows) // BATCH * BATCH].split(BATCH):
            trainer.step(rows[part])
    return trainer


def _recovered(trainer: Trainer, directions: Tensor) -> float:
    closest = (directions @ trainer.dictionary().W_dec.T).amax(dim=1)
    return float((closest >= 0.9).float().mean())


def test_nine_in_ten_planted_directions_are_recovered() -> None:
    rows, directions, l0 = _world()
    trainer = _train(rows, l0, EPOCHS)
    assert len(directions) > 80
    assert _recovered(trainer, directions) >= 0.9
    assert trainer.evaluate([rows]).fvu < 0.1


def test_no_direction_is_recovered_from_rows_whose_coordinates_were_shuffled() -> None:
    rows, directions, l0 = _world()
    draw = torch.Generator().manual_seed(4)
    shuffled = torch.stack([column[torch.randperm(len(rows), generator=draw)] for column in rows.T], dim=1)
    assert _recovered(_train(shuffled, l0, 4), directions) <= 0.05


def test_nothing_is_recovered_or_explained_before_training() -> None:
    rows, directions, l0 = _world()
    trainer = Trainer(_config(l0), TrainingConfig(learning_rate=1e-12, batch_tokens=BATCH))
    first = trainer.step(rows[:BATCH])
    assert _recovered(trainer, directions) == 0.0
    assert first.fvu > 0.75


def test_planted_directions_are_recovered_from_the_stream_of_a_model_that_carries_them() -> None:
    rows, directions, l0 = _world()
    stream = read_all(carrier(rows, seed=1), seed=1)
    assert _recovered(_train(stream, l0, 6), directions) >= 0.9


def test_nothing_is_recovered_from_the_same_model_with_random_weights() -> None:
    rows, directions, l0 = _world()
    stream = read_all(random_weights(len(rows), WIDTH, seed=1), seed=1)
    stream *= rows.norm(dim=1).mean() / stream.norm(dim=1).mean()
    assert _recovered(_train(stream, l0, 6), directions) == 0.0
