"""Weights rounded to 8 bits: one scale per output, nothing but linear layers of blocks, zero rows stay zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from interp_lab.models.load import load_model
from interp_lab.models.quantised import round_weights, rounded
from interp_lab.workflows.inspection.inputs import model_facts, weights_hash


@pytest.mark.parametrize("out", [0, 1])
def test_every_weight_is_within_half_a_step_of_its_output_s_scale_and_takes_at_most_255_values(out: int) -> None:
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 5)
    made = rounded(weight, out)
    step = weight.abs().amax(1 - out, keepdim=True) / 127
    assert ((made - weight).abs() <= step / 2 + 1e-7).all()
    codes = made / step
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert codes.abs().max() <= 127.001


def test_an_output_without_weights_stays_one() -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    assert not rounded(weight, 0)[0].any()
    assert rounded(weight, 0)[1, 1].item() == -2.0


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_embeddings_norms_and_the_unembedding_are_left_alone(family: str, load_tiny: Callable[[str], Any]) -> None:
    loaded = load_tiny(family)
    before = {name: tensor.clone() for name, tensor in loaded.model.named_parameters()}
    try:
        named = round_weights(loaded.model, loaded.blocks, "tiny")
        changed = {n for n, tensor in loaded.model.named_parameters() if not torch.equal(tensor, before[n])}
    finally:
        with torch.no_grad():
            for name, tensor in loaded.model.named_parameters():
                tensor.copy_(before[name])
    assert changed == {f"{name}.weight" for name in named}
    assert not [name for name in named if "embed" in name or "wte" in name or "lm_head" in name]


def test_a_model_loaded_as_int8_has_rounded_weights_and_is_told_from_the_one_it_was_made_of(
    load_tiny: Callable[[str], Any],
) -> None:
    plain = load_tiny("llama")
    made = load_model(plain.source, dtype="int8", device="cpu")
    expected = load_model(plain.source, dtype="float32", device="cpu")
    round_weights(expected.model, expected.blocks, "tiny")
    states = zip(made.model.named_parameters(), expected.model.named_parameters(), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in states)
    assert made.dtype is torch.float32
    assert model_facts(made).dtype == "int8 weights, float32"
    assert model_facts(plain).dtype == "float32"
    assert len({made.version, plain.version}) == 2
    assert len({weights_hash(made), weights_hash(plain)}) == 2
