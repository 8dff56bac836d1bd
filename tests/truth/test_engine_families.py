"""Identities that every known family must satisfy on a running model, and broken rows that must not pass for right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from einops import rearrange, repeat

from interp_lab.engine.batches import TokenBatch, make_batch
from interp_lab.engine.capture import Captured, capture, model_inputs
from interp_lab.engine.selfcheck import self_check
from interp_lab.models.families import FAMILIES, Family, family_of
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address, every_layer

ROWS = [family.name for family in FAMILIES]
ALL = [*ROWS, "gpt_neo"]
PROMPTS = {"long": "the cat sat on the mat and", "short": "dog ran", "middle": "it was raining there"}
FINAL_NORM = {
    "gpt2": "transformer.ln_f",
    "gpt_neo": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "gpt_neox_sequential": "gpt_neox.final_layer_norm",
    "opt": "model.decoder.final_layer_norm",
    "phi": "model.final_layernorm",
}
POST_NORM = {"opt_post_norm", "bert", "roberta"}
PLAIN_SCORES = [name for name in ROWS if name not in {"qwen3", "gemma2", "gemma3"}]


def read(loaded: LoadedModel, batch: TokenBatch, addresses: list[Address]) -> Captured:
    with capture(loaded, addresses) as run:
        return run(batch)


def everything(loaded: LoadedModel, *, without: tuple[str, ...] = ()) -> list[Address]:
    layered = [point for point in loaded.family.sites if point not in without]
    return [a for point in layered for a in every_layer(point, loaded.facts.n_layers)] + [Address("embed")]


def batch_of(loaded: LoadedModel, side: str = "right") -> TokenBatch:
    return make_batch(loaded, tokenize(loaded, PROMPTS), side=side)


@pytest.mark.parametrize("name", ROWS)
def test_each_row_of_the_table_is_the_one_its_models_get(load_tiny, name: str) -> None:
    assert load_tiny(name).family.name == name


@pytest.mark.guarantee("hooks-change-nothing")
@pytest.mark.parametrize("name", ALL)
def test_logits_with_hooks_everywhere_are_bit_equal_to_logits_without(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    batch = batch_of(loaded)
    plain = loaded.model(**model_inputs(loaded, batch)).logits
    seen = read(loaded, batch, [*everything(loaded, without=("attn_probs",)), Address("logits")])
    assert torch.equal(seen[Address("logits")], plain)


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_is_as_wide_as_the_facts_say(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    batch = batch_of(loaded)
    for address, tensor in read(loaded, batch, [*everything(loaded), Address("logits")]).items():
        if address.point == "attn_probs":
            n_pos = batch.ids.shape[1]
            assert tensor.shape == (3, loaded.facts.n_heads, n_pos, n_pos)
        else:
            assert tensor.shape == (*batch.ids.shape, loaded.facts.width(address))


@pytest.mark.guarantee("addresses-are-exact")
@pytest.mark.parametrize("name", ALL)
def test_the_residual_stream_is_the_one_transformers_records(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    batch = batch_of(loaded)
    recorded = loaded.model(**model_inputs(loaded, batch), output_hidden_states=True).hidden_states
    seen = read(loaded, batch, everything(loaded, without=("attn_probs",)))
    last = loaded.facts.n_layers - 1
    for layer in range(last + 1):
        assert torch.equal(seen[Address("resid_pre", layer)], recorded[layer])
    for layer in range(last + 1 if name in POST_NORM else last):
        assert torch.equal(seen[Address("resid_post", layer)], recorded[layer + 1])


@pytest.mark.parametrize("name", [name for name in ALL if name not in POST_NORM])
def test_the_last_residual_stream_is_what_enters_the_final_norm(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    norm = Address("module", path=FINAL_NORM.get(name, "model.norm"), side="in")
    last = Address("resid_post", loaded.facts.n_layers - 1)
    seen = read(loaded, batch_of(loaded), [norm, last])
    assert torch.equal(seen[norm], seen[last])


@pytest.mark.parametrize("name", ALL)
def test_padding_on_either_side_does_not_change_what_tokens_get(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    prompts = tokenize(loaded, PROMPTS)
    wanted = [*everything(loaded, without=("attn_probs",)), Address("logits")]
    padded = {
        side: (batch_of(loaded, side), read(loaded, batch_of(loaded, side), wanted)) for side in ("left", "right")
    }
    for row in range(len(prompts)):
        alone = read(loaded, make_batch(loaded, prompts, indices=[row]), wanted)
        for batch, seen in padded.values():
            for address in wanted:
                torch.testing.assert_close(seen[address][row][batch.mask[row]], alone[address][0], rtol=1e-5, atol=1e-5)


def test_left_padding_without_positions_of_its_own_would_be_caught(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    batch = batch_of(loaded, "left")
    naive = replace(batch, positions=torch.arange(batch.ids.shape[1]).expand_as(batch.ids))
    last = Address("resid_post", 2)
    right, wrong = read(loaded, batch, [last])[last], read(loaded, naive, [last])[last]
    assert (right - wrong)[batch.mask].abs().max() > 1e-2


@pytest.mark.parametrize("name", ALL)
def test_the_self_check_verifies_every_point_that_has_an_identity(load_tiny, name: str) -> None:
    loaded = load_tiny(name)
    outcome = self_check(loaded)
    without_identity = {"q", "k", "mlp_in", "mlp_act", "embed"}
    assert set(outcome.verified) == set(loaded.family.points) - without_identity
    assert {row.status for row in outcome.rows if row.point in without_identity} <= {"unchecked"}


@pytest.mark.parametrize("name", PLAIN_SCORES)
def test_queries_and_keys_give_the_attention_probabilities(load_tiny, name: str) -> None:
    """At equal positions a rotation drops out, so the scores are plain dot products in every family."""
    loaded = load_tiny(name)
    batch = make_batch(loaded, tokenize(loaded, {"a": "the cat sat"}))
    still = replace(batch, positions=torch.zeros_like(batch.positions))
    probabilities, expected = _probabilities(loaded, still)
    torch.testing.assert_close(probabilities, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "wrong"), [("gpt_neox", "concatenated"), ("gpt2", "per_head"), ("phi3", "separate")])
def test_a_wrong_layout_of_fused_projections_does_not_give_them(load_tiny, name: str, wrong: str) -> None:
    loaded = with_family(load_tiny(name), qkv_layout=wrong)
    batch = make_batch(loaded, tokenize(loaded, {"a": "the cat sat"}))
    if wrong == "separate":
        q, k, _ = (Address(part, 1) for part in "qkv")
        seen = read(loaded, batch, [q, k])
        assert seen[q].shape[-1] != loaded.facts.n_heads * loaded.facts.d_head
        return
    probabilities, expected = _probabilities(loaded, replace(batch, positions=torch.zeros_like(batch.positions)))
    assert (probabilities - expected).abs().max() > 1e-2
    assert "v" not in self_check(loaded).verified


def _probabilities(loaded: LoadedModel, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    facts = loaded.facts
    q, k, probabilities = read(loaded, batch, [Address(point, 1) for point in ("q", "k", "attn_probs")]).values()
    queries = rearrange(q, "b pos (head d) -> b head pos d", head=facts.n_heads)
    keys = rearrange(k, "b pos (kv d) -> b kv pos d", kv=facts.n_kv_heads)
    keys = repeat(keys, "b kv pos d -> b (kv group) pos d", group=facts.n_heads // facts.n_kv_heads)
    scores = queries @ keys.transpose(-1, -2) * facts.d_head**-0.5
    if loaded.family.kind == "decoder":
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
    return probabilities, scores.softmax(dim=-1)


def with_family(loaded: LoadedModel, **changes: object) -> LoadedModel:
    """The same model under a family row that is wrong."""
    return replace(loaded, facts=replace(loaded.facts, family=replace(loaded.family, **changes)))


def test_a_capture_that_is_off_by_one_layer_fails_the_self_check(load_tiny) -> None:
    loaded = load_tiny("llama")
    shifted = replace(loaded, blocks=loaded.blocks[1:] + loaded.blocks[:1])
    assert {"resid_pre", "resid_post"} <= set(self_check(shifted).unverified)


def test_reading_before_the_second_norm_of_a_sandwich_fails_the_self_check(load_tiny) -> None:
    naive = with_family(load_tiny("gemma2"), attn_out="self_attn", mlp_out="mlp")
    outcome = self_check(naive)
    assert {"attn_out", "mlp_out"} <= set(outcome.unverified)
    assert "resid_pre" in outcome.verified


def test_taking_a_parallel_block_for_a_sequential_one_fails_the_self_check(load_tiny) -> None:
    wrong = with_family(load_tiny("gpt_neox"), resid_mid=("post_attention_layernorm", "in"))
    assert "resid_mid" in self_check(wrong).unverified


def test_taking_a_post_norm_block_for_a_pre_norm_one_fails_the_self_check(load_tiny) -> None:
    wrong = with_family(load_tiny("bert"), norms_after=None)
    assert {"attn_out", "mlp_out", "resid_mid"} <= set(self_check(wrong).unverified)


def test_values_read_from_the_keys_fail_the_self_check(load_tiny) -> None:
    q, k, v = load_tiny("llama").family.qkv
    assert {"v", "z", "attn_probs"} <= set(self_check(with_family(load_tiny("llama"), qkv=(q, v, k))).unverified)


def test_the_self_check_runs_once_per_model(load_tiny) -> None:
    assert self_check(load_tiny("gpt2")) is self_check(load_tiny("gpt2"))


def test_an_architecture_without_a_row_offers_its_residual_stream_only() -> None:
    family = family_of("gpt_neo", {})
    assert isinstance(family, Family)
    assert family.points == ("resid_pre", "resid_post", "embed", "logits")
