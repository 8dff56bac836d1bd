"""What a model writes follows from the request alone, whatever settings its maker put beside its weights."""

from __future__ import annotations

import pytest

from interp_lab.engine.generation import Sampling, continuations
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize


@pytest.fixture
def gpt2(load_tiny) -> LoadedModel:
    return load_tiny("gpt2")


@pytest.mark.parametrize(("temperature", "name", "value"), [(0.0, "repetition_penalty", 9.0), (1.0, "top_p", 0.01)])
def test_settings_that_came_with_the_model_do_not_change_what_it_writes(
    gpt2, monkeypatch, temperature, name, value
) -> None:
    prompts = tokenize(gpt2, {"a": "the cat sat on", "b": "the dog"})
    sampling = Sampling(6, temperature, (1,), 1024)
    before = continuations(gpt2, prompts, sampling)
    own = gpt2.model.generation_config
    monkeypatch.setattr(own, name, value)
    assert continuations(gpt2, prompts, sampling) == before
    assert gpt2.model.generation_config is own


def test_another_seed_writes_something_else(gpt2) -> None:
    prompts = tokenize(gpt2, {"a": "the cat sat on"})
    first, second = (continuations(gpt2, prompts, Sampling(8, 1.0, (seed,), 1024)) for seed in (1, 2))
    assert first != second


def test_text_ends_where_the_model_said_that_it_ends(gpt2, monkeypatch) -> None:
    prompts = tokenize(gpt2, {"a": "the cat sat on", "b": "the dog"})
    (free, *_) = continuations(gpt2, prompts, Sampling(6, 0.0, (0,), 1024))
    monkeypatch.setattr(gpt2.model.generation_config, "eos_token_id", [free[2]])
    (ended, *_) = continuations(gpt2, prompts, Sampling(6, 0.0, (0,), 1024))
    assert ended == free[: free.index(free[2]) + 1]
