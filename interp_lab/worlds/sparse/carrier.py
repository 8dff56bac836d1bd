# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A model whose residual stream carries a sparse world, each token's embedding a row of it, and one that does not."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Module
from transformers import GPT2Config, GPT2LMHeadModel

_LAYERS, _HEADS = 2, 4
_CONTEXT = 64


def carrier(rows: Float[Tensor, "row width"], seed: int) -> GPT2LMHeadModel:
    """Return a GPT-2 with random blocks whose token embeddings are the rows of a world, so that its stream has them."""
    model = random_weights(len(rows), rows.shape[1], seed)
    model.transformer.wte.weight.data.copy_(rows)
    return model


def random_weights(n_tokens: int, width: int, seed: int) -> GPT2LMHeadModel:
    """Return the same model with random token embeddings: the twin in which nothing is planted."""
    config = GPT2Config(
        vocab_size=n_tokens, n_positions=_CONTEXT, n_embd=width, n_layer=_LAYERS, n_head=_HEADS,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config).eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def read_all(model: GPT2LMHeadModel, seed: int) -> Float[Tensor, "token width"]:
    """Return the stream behind the last block over a text in which every token stands once, in random order."""
    n_tokens = model.config.vocab_size
    order = torch.randperm(n_tokens, generator=torch.Generator().manual_seed(seed))
    texts = order[: n_tokens // _CONTEXT * _CONTEXT].view(-1, _CONTEXT)
    found: list[Tensor] = []

    def note(_module: Module, _args: object, output: Tensor | tuple[Tensor, ...]) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    handle = model.transformer.h[-1].register_forward_hook(note)
    try:
        for part in texts.split(64):
            model.transformer(part)
    finally:
        handle.remove()
    return torch.cat(found).flatten(0, 1)
