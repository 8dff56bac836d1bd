from __future__ import annotations

import pytest
import torch

from interp_lab.engine import attention
from interp_lab.engine.attention import probe_attention, product_attention, use_attention
from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.packing import packing_check
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address

TEXTS = {"long": "the cat sat on the mat and the dog ran", "one": "c", "short": "the other house"}
WITH_PRODUCTS = ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "opt", "bert", "roberta"]


def deepest(loaded: LoadedModel, side: str) -> list[torch.Tensor]:
    """What leaves the last block at the tokens of each text."""
    address = Address("resid_post", len(loaded.blocks) - 1)
    batch = make_batch(loaded, tokenize(loaded, TEXTS), side=side)  # pyright: ignore[reportArgumentType]
    with capture(loaded, [address]) as run:
        values = run(batch)[address]
    return [row[mask] for row, mask in zip(values, batch.mask, strict=True)]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", WITH_PRODUCTS)
def test_products_give_what_the_models_own_attention_gives(load_tiny, name: str, side: str) -> None:
    loaded = load_tiny(name)
    usual = deepest(loaded, side)
    with product_attention(loaded) as found:
        assert loaded.model.config._attn_implementation == attention.NAME
        replaced = deepest(loaded, side)
    assert found.used
    assert found.error < 1e-5
    assert loaded.model.config._attn_implementation == "sdpa"
    for one, other in zip(replaced, usual, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_texts_packed_into_one_row_stay_untouched_by_their_neighbours(load_tiny, name: str) -> None:
    with use_attention(load_tiny(name), products=True):
        check = packing_check(load_tiny(name))
    assert check.exact
    assert not check.leaks


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_products_stay_within_its_rounding(tiny_models, dtype: str) -> None:
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")), dtype=dtype)
    found = probe_attention(loaded)
    assert found.used
    assert 0 <= found.error < 3e-2


def test_an_attention_that_computes_something_else_is_found_out(tiny_models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_bias", lambda *_, **__: None)  # every token sees the tokens after it
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")))
    with product_attention(loaded) as found:
        assert loaded.model.config._attn_implementation == "sdpa"
    assert not found.used
    assert found.error > 1e-3


def test_a_model_with_an_attention_of_its_own_keeps_it(tiny_models) -> None:
    loaded = load_model(ModelSource("local", "gpt2", tiny_models("gpt2")))
    loaded.model.set_attn_implementation("eager")
    with product_attention(loaded) as found:
        assert loaded.model.config._attn_implementation == "eager"
    assert not found.used


def test_rows_too_long_for_products_go_through_the_usual_kernel(load_tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_tiny("gpt2")
    usual = deepest(loaded, "right")
    monkeypatch.setattr(attention, "LONGEST", 2)
    with use_attention(loaded, products=True):
        assert all(torch.equal(one, other) for one, other in zip(deepest(loaded, "right"), usual, strict=True))
