# pyright: standard
"""The models that circuits are planted into: small random ones drawn from a seed, or a model in the box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from interp_lab.errors import ImpossibleWorld
from interp_lab.models.load import load_model
from interp_lab.models.resolve import locate_model
from interp_lab.worlds.vocabulary import Vocabulary, pieces_of, small_vocabulary

CONTEXT = 64
_SPREAD = 0.15
"""Standard deviation of random weights: with the usual 0.02 every sum would be at rounding level."""


@dataclass(frozen=True)
class Base:
    """A model that owns its unembedding, and the words of its tokenizer."""

    model: PreTrainedModel
    vocabulary: Vocabulary


def make_base(name: str, seed: int) -> Base:
    """Return a fresh copy of the named base; only the random ones depend on the seed.

    Raises:
        ImpossibleWorld: There is no base of that name here.
    """
    if name == "tiny-gpt2":
        return Base(_draw(GPT2LMHeadModel, _tiny_gpt2(), seed), small_vocabulary())
    if name == "tiny-llama":
        return Base(_draw(LlamaForCausalLM, _tiny_llama(), seed), small_vocabulary())
    return _builtin(name)


def _draw(kind: type[PreTrainedModel], config: GPT2Config | LlamaConfig, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config).eval().requires_grad_(requires_grad=False)


def _tiny_gpt2() -> GPT2Config:
    return GPT2Config(
        vocab_size=len(small_vocabulary().pieces),
        n_positions=CONTEXT,
        n_embd=64,
        n_layer=4,
        n_head=4,
        n_inner=128,
        initializer_range=_SPREAD,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def _tiny_llama() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(small_vocabulary().pieces),
        max_position_embeddings=CONTEXT,
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        intermediate_size=96,
        initializer_range=_SPREAD,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def _builtin(name: str) -> Base:
    source = locate_model(name)
    if source is None:
        raise ImpossibleWorld(f"There is no base {name[:80]!r} on this machine.")
    loaded = load_model(source, dtype="float32", device="cpu")
    return Base(_untied(loaded.model), pieces_of(source.directory / "tokenizer.json"))


def _untied(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose unembedding is a matrix of its own, so that a plant at one end does not act at the other."""
    config = type(model.config).from_dict(model.config.to_dict() | {"tie_word_embeddings": False})
    fresh = type(model)(config)
    fresh.load_state_dict(model.state_dict())
    return fresh.eval().requires_grad_(requires_grad=False)
