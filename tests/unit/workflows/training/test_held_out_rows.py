"""Held-out tokens that are too many are sampled, and never down to one group: its figures would have no interval."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.workflows.training.columns import held_out_rows
from interp_lab.workflows.training.split import TokenSplit


def sampled(groups: np.ndarray, seed: int) -> np.ndarray:
    every = np.ones(groups.size, dtype=np.bool_)
    request = TrainSaeRequest.model_validate({"source": "store", "held_out_tokens": 256, "seed": seed})
    return held_out_rows(TokenSplit(train=~every, held_out=every, groups=groups), request)


@pytest.mark.parametrize("seed", range(5))
def test_a_giant_group_does_not_push_the_other_out(seed: int) -> None:
    groups = np.repeat([7, 9], [100_000, 3])
    rows = sampled(groups, seed)
    assert rows.size == 256 == np.unique(rows).size
    assert set(groups[rows]) == {7, 9}
    assert (np.diff(rows) > 0).all()


def test_groups_of_like_size_are_sampled_alike() -> None:
    groups = np.repeat(np.arange(4), 1000)
    counts = np.bincount(groups[sampled(groups, 3)], minlength=4)
    assert (counts > 40).all()
