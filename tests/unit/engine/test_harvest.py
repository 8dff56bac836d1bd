from __future__ import annotations

import numpy as np
import pytest
import torch

from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.harvest import Harvested, gather, harvest, token_values
from interp_lab.errors import HookPointUnavailable, NonFiniteActivations, PromptNotPoolable
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address

TEXTS = {f"p{i}": "the cat sat on the mat and the dog ran"[: 3 + 5 * i] for i in range(7)} | {"b": "<bos>the<eos>"}
PLACES = [Address("resid_post", 1), Address("mlp_act", 0)]


@pytest.fixture
def gpt2(load_tiny) -> LoadedModel:
    return load_tiny("gpt2")


@pytest.fixture
def prompts(gpt2: LoadedModel) -> tuple[TokenizedPrompt, ...]:
    return tokenize(gpt2, TEXTS)


def alone(loaded: LoadedModel, prompt: TokenizedPrompt, address: Address) -> np.ndarray:
    with capture(loaded, [address]) as run:
        return run(make_batch(loaded, [prompt]))[address][0].numpy()


@pytest.mark.parametrize(
    ("pooling", "by_hand"), [("max", lambda x: x.max(0)), ("mean", lambda x: x.mean(0)), ("last", lambda x: x[-1])]
)
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_a_harvest_equals_prompts_run_alone_in_the_given_order(
    gpt2, prompts, pooling: str, by_hand, budget: int
) -> None:
    rows = gather(harvest(gpt2, prompts, PLACES, pooling=pooling, token_budget=budget), len(prompts))
    for address in PLACES:
        expected = [by_hand(alone(gpt2, prompt, address)[~np.array(prompt.special)]) for prompt in prompts]
        np.testing.assert_allclose(rows[address], np.stack(expected), rtol=1e-4, atol=1e-5)
        assert rows[address].dtype == np.float32


def test_the_largest_value_would_be_wrong_if_special_tokens_counted(gpt2, prompts) -> None:
    place = PLACES[0]
    rows = gather(harvest(gpt2, prompts, [place]), len(prompts))[place]
    assert not np.allclose(rows[-1], alone(gpt2, prompts[-1], place).max(0), atol=1e-3)


def test_spans_are_averaged(gpt2, prompts) -> None:
    place = PLACES[0]
    pooled = next(iter(harvest(gpt2, prompts[6:7], [place], pooling="span", spans=[[(3, 5), (8, 11)]]))).rows[place]
    assert prompts[6].pieces[:3] == ("the", " cat", " sat")
    np.testing.assert_allclose(pooled[0], alone(gpt2, prompts[6], place)[1:3].mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "last"])
def test_tokens_on_which_a_coordinate_fires_are_counted_whatever_the_pooling(gpt2, prompts, pooling: str) -> None:
    batches = list(harvest(gpt2, prompts, PLACES, pooling=pooling, token_budget=40))
    ordinary = [~np.array(prompt.special) for prompt in prompts]
    assert sum(batch.n_tokens for batch in batches) == sum(mask.sum() for mask in ordinary)
    for address in PLACES:
        each = [(alone(gpt2, prompt, address)[mask] > 0).sum(0) for prompt, mask in zip(prompts, ordinary, strict=True)]
        np.testing.assert_array_equal(sum(batch.fired[address] for batch in batches), np.sum(each, axis=0))


def test_chosen_coordinates_are_given_for_every_token(gpt2, prompts) -> None:
    chosen = {PLACES[0]: (3, 0), PLACES[1]: (100,)}
    found = list(token_values(gpt2, prompts, chosen, token_budget=40))
    assert sorted(entry.prompt for entry in found) == list(range(len(prompts)))
    for entry in found:
        for address, coordinates in chosen.items():
            expected = alone(gpt2, prompts[entry.prompt], address)[:, list(coordinates)]
            np.testing.assert_allclose(entry.values[address], expected, rtol=1e-4, atol=1e-5)


def test_a_harvest_releases_the_model_when_its_reader_stops_early(gpt2, prompts) -> None:
    before = sum(len(module._forward_hooks) for module in gpt2.model.modules())
    reader = harvest(gpt2, prompts, PLACES, token_budget=1)
    next(reader)
    assert sum(len(module._forward_hooks) for module in gpt2.model.modules()) > before
    reader.close()
    assert sum(len(module._forward_hooks) for module in gpt2.model.modules()) == before


def test_attention_probabilities_have_no_width_to_pool(gpt2, prompts) -> None:
    with pytest.raises(HookPointUnavailable, match=r"attn_probs\.0 has shape"):
        list(harvest(gpt2, prompts, [Address("attn_probs", 0)]))


def test_a_prompt_of_special_tokens_only_is_refused(gpt2) -> None:
    with pytest.raises(PromptNotPoolable, match="in: b"):
        list(harvest(gpt2, tokenize(gpt2, {"a": "the", "b": "<bos><eos>"}), PLACES))


def test_activations_that_are_not_finite_are_refused_by_prompt(tiny_models) -> None:
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")))
    prompts = tokenize(loaded, {"good": "dog", "bad": "the cat"})
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[prompts[1].ids[0]] = torch.inf
    with pytest.raises(NonFiniteActivations, match=r"resid_post\.1 are not finite in: bad\."):
        list(harvest(loaded, prompts, [Address("resid_post", 1)]))


def test_rows_that_never_came_are_not_numbers() -> None:
    place = PLACES[0]
    rows = gather([Harvested((1,), {place: np.ones((1, 2), np.float32)}, {}, 3)], 2)[place]
    assert np.isnan(rows[0]).all()
    assert (rows[1] == 1).all()
