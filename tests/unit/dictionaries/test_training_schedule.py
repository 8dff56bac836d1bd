"""Learning rates and penalty weights over the steps of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.dictionaries import TrainingConfig
from interp_lab.dictionaries.training.schedule import learning_rate, sparsity


def _training(**changes: object) -> TrainingConfig:
    base = {"total_tokens": 1000, "batch_tokens": 10, "learning_rate": 0.5, "sparsity_coefficient": 2.0}
    return TrainingConfig(**{**base, **changes})


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    training = _training(warmup_steps=10, decay_steps=20)
    rates = [learning_rate(training, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[9:81] == pytest.approx([0.5] * 72)
    assert rates[90] == pytest.approx(0.25)
    assert rates[100] == 0.0


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from(["constant", "cosine"]), st.integers(0, 200))
def test_the_learning_rate_never_leaves_its_bounds(warmup: int, decay: int, schedule: str, step: int) -> None:
    rate = learning_rate(_training(warmup_steps=warmup, decay_steps=decay, schedule=schedule), step)
    assert 0.0 <= rate <= 0.5


def test_a_cosine_ends_at_a_tenth() -> None:
    assert learning_rate(_training(schedule="cosine"), 100) == pytest.approx(0.05)


def test_the_penalty_starts_at_nothing_and_reaches_its_weight() -> None:
    training = _training(sparsity_warmup_steps=4)
    assert [sparsity(training, step) for step in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert sparsity(_training(), 0) == 2.0
