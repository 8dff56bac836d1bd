"""The network of a recipe, with random weights drawn from its seed."""
# pyright: standard

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from interp_lab.pocket.recipe import BOS_ID, CONTEXT, EOS_ID, PAD_ID, VOCABULARY, Recipe


def build(recipe: Recipe, vocabulary: int = VOCABULARY, context: int = CONTEXT) -> PreTrainedModel:
    """A fresh float32 model; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return _gpt2(recipe, vocabulary, context) if recipe.family == "gpt2" else _llama(recipe, vocabulary, context)


def _gpt2(recipe: Recipe, vocabulary: int, context: int) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        n_inner=recipe.mlp_width,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=recipe.tied,
        use_cache=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.wpe.weight.copy_(config.initializer_range * _sinusoids(context, recipe.width))
    return model


def _sinusoids(positions: int, width: int) -> torch.Tensor:
    # neighbouring positions start related by a rotation, so heads that look at the token before form early
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def _llama(recipe: Recipe, vocabulary: int, context: int) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=context,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        intermediate_size=recipe.mlp_width,
        tie_word_embeddings=recipe.tied,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    return LlamaForCausalLM(config)
