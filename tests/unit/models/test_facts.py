from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interp_lab.errors import CorruptWeights, HookPointUnavailable, InvalidModel, LayerOutOfRange
from interp_lab.models.facts import ModelFacts, facts_of, read_facts
from interp_lab.models.families import FAMILIES, GENERIC, GENERIC_DECODER, PAIR_DECODERS, family_of
from interp_lab.models.weights import Weights
from interp_lab.points import HOOK_POINTS, Address

NONE = Weights((), 0, 0)
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 16,
    "hidden_size": 2048,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}


def facts(**changes: object) -> ModelFacts:
    return facts_of(LLAMA | changes, NONE)


def test_a_configuration_says_the_shape_of_its_model() -> None:
    found = facts()
    assert (found.n_layers, found.d_model, found.n_heads, found.n_kv_heads, found.d_head) == (16, 2048, 32, 8, 64)
    assert (found.d_mlp, found.n_vocab, found.context_length, found.dtype) == (8192, 128256, 131072, "bfloat16")
    assert (found.family.name, found.architecture) == ("llama", "LlamaForCausalLM")


def test_older_names_of_the_same_entries_are_understood() -> None:
    found = facts_of(GPT2, NONE)
    assert (found.n_layers, found.d_model, found.n_heads, found.context_length) == (12, 768, 12, 1024)


def test_the_width_of_an_mlp_that_is_left_out_follows_from_the_family() -> None:
    assert facts_of(GPT2 | {"n_inner": None}, NONE).d_mlp == 4 * 768
    assert facts_of(GPT2 | {"n_inner": 100}, NONE).d_mlp == 100


def test_the_language_part_of_a_multimodal_model_is_what_counts() -> None:
    text = {"model_type": "gemma3_text", "num_hidden_layers": 26, "hidden_size": 1152}
    found = facts_of({"model_type": "gemma3", "vision_config": {"num_hidden_layers": 3}, "text_config": text}, NONE)
    assert (found.family.name, found.n_layers, found.context_length) == ("gemma3", 26, None)


def test_positions_that_follow_the_padding_id_shorten_the_context() -> None:
    roberta = LLAMA | {"model_type": "roberta", "max_position_embeddings": 514}
    assert facts_of(roberta | {"pad_token_id": 1}, NONE).context_length == 512
    assert facts_of(LLAMA | {"max_position_embeddings": 514, "pad_token_id": 1}, NONE).context_length == 514


@pytest.mark.parametrize(
    ("change", "family"),
    [
        ({"model_type": "gpt_neox"}, "gpt_neox"),
        ({"model_type": "gpt_neox", "use_parallel_residual": False}, "gpt_neox_sequential"),
        ({"model_type": "opt"}, "opt"),
        ({"model_type": "opt", "do_layer_norm_before": False}, "opt_post_norm"),
        ({"model_type": "falcon"}, "generic"),
    ],
)
def test_the_family_follows_from_type_and_configuration(change: dict[str, object], family: str) -> None:
    assert facts(**change).family.name == family


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": None},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": "16"},
        {"num_hidden_layers": True},
        {"hidden_size": 2**60},
        {"model_type": None},
    ],
)
def test_a_configuration_without_usable_numbers_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidModel):
        facts(**change)


def test_the_numbers_of_an_encoder_decoder_are_those_of_its_encoder() -> None:
    config = {"model_type": "bart", "is_encoder_decoder": True, "d_model": 64, "encoder_layers": 6, "decoder_layers": 2}
    heads = {"encoder_attention_heads": 8, "decoder_attention_heads": 4, "num_hidden_layers": 2}
    found = facts_of(config | heads | {"encoder_ffn_dim": 256, "decoder_ffn_dim": 100}, NONE)
    assert (found.n_layers, found.n_heads, found.d_head, found.d_mlp) == (6, 8, 8, 256)
    with pytest.raises(HookPointUnavailable):
        found.check(Address("logits"))


def test_a_decoder_of_a_type_that_is_usually_half_of_a_pair_is_no_encoder() -> None:
    assert facts(model_type="bart").family is GENERIC
    assert facts(model_type="bart", is_encoder_decoder=True).family.name == "bart"


def test_a_layer_out_of_range_is_refused_with_the_valid_range() -> None:
    facts().check(Address("resid_post", 15))
    with pytest.raises(LayerOutOfRange, match="layers 0 to 15"):
        facts().check(Address("resid_post", 16))


def test_a_point_the_family_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(HookPointUnavailable, match="resid_pre, resid_post, embed, logits"):
        facts(model_type="falcon").check(Address("z", 0))


def test_a_module_path_can_only_be_judged_by_the_loaded_model() -> None:
    facts(model_type="falcon").check(Address("module", path="transformer.h.99"))


def test_a_directory_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"no config\.json"):
        read_facts(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1, "a": 2}'])
def test_a_configuration_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeights, match=r"config\.json"):
        read_facts(tmp_path)


def test_facts_are_read_from_a_real_directory(tiny_models) -> None:
    found = read_facts(tiny_models("gemma2"))
    assert (found.family.name, found.n_layers, found.d_model, found.d_head) == ("gemma2", 3, 32, 8)
    assert found.weights.files == ("model.safetensors",)
    assert found.weights.n_parameters > 3 * 32 * 48
    stated = json.loads((tiny_models("gemma2") / "config.json").read_text(encoding="utf-8"))
    assert found.context_length == stated["max_position_embeddings"]


def test_the_numbers_of_a_decoder_are_its_own() -> None:
    config = {"model_type": "bart", "is_encoder_decoder": True, "d_model": 64, "encoder_layers": 6, "decoder_layers": 2}
    sizes = {"encoder_attention_heads": 8, "decoder_attention_heads": 4, "encoder_ffn_dim": 256, "decoder_ffn_dim": 100}
    found = facts_of(config | sizes | {"num_hidden_layers": 6}, NONE, part="decoder")
    assert (found.n_layers, found.n_heads, found.d_head, found.d_mlp) == (2, 4, 16, 100)
    found.check(Address("logits"))
    with pytest.raises(LayerOutOfRange):
        found.check(Address("decoder_resid_post", 2))
    t5 = {"model_type": "t5", "is_encoder_decoder": True, "d_model": 64, "num_layers": 6, "num_decoder_layers": 3}
    assert facts_of(t5, NONE, part="decoder").n_layers == 3
    assert facts_of(t5, NONE).n_layers == 6


@pytest.mark.parametrize("family", [*PAIR_DECODERS, GENERIC_DECODER], ids=lambda family: family.name)
def test_a_decoder_beside_an_encoder_shares_no_name_with_it_but_the_logits(family) -> None:
    assert set(family.points) <= {row.name for row in HOOK_POINTS}
    assert {point for point in family.points if not point.startswith("decoder_")} == {"logits"}


@pytest.mark.parametrize("family", [*FAMILIES, GENERIC], ids=lambda family: family.name)
def test_a_family_offers_only_points_of_the_table(family) -> None:
    assert set(family.points) <= {row.name for row in HOOK_POINTS}
    assert {"resid_pre", "resid_post", "embed", "logits"} <= set(family.points)


def test_no_two_rows_of_one_type_both_apply_without_a_condition() -> None:
    for family in FAMILIES:
        for model_type in family.model_types:
            rows = [row for row in FAMILIES if model_type in row.model_types]
            assert [row.only_if is None for row in rows] == [False] * (len(rows) - 1) + [True]
            assert family_of(model_type, {}).name in {row.name for row in rows}
