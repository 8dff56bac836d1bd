# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A hand-set model as a graph of nodes, run with any edges cut: the reader then sees the stream without the writer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GPT2LMHeadModel

Edge = tuple[str, str]
OUTPUT = "logits"


def nodes_of(model: GPT2LMHeadModel) -> tuple[str, ...]:
    """Return the names of all nodes, writers before readers."""
    config: Any = model.config
    layers = [
        [*(f"head.{layer}.{head}" for head in range(config.n_head)), f"mlp.{layer}"] for layer in range(config.n_layer)
    ]
    return ("embed", "positions", *(name for layer in layers for name in layer), OUTPUT)


def edges_of(model: GPT2LMHeadModel) -> tuple[Edge, ...]:
    """Return every edge that the architecture allows."""
    nodes = nodes_of(model)
    return tuple(
        (source, target)
        for place, target in enumerate(nodes)
        for source in nodes[:place]
        if target not in ("embed", "positions") and not _side_by_side(source, target)
    )


def forward(
    model: GPT2LMHeadModel, ids: Int[Tensor, "batch pos"], cut: Collection[Edge] = ()
) -> Float[Tensor, "batch pos n_vocab"]:
    """Return the logits when the cut edges carry nothing; without cuts they are the model's own."""
    body: Any = model.transformer
    head: Any = model.lm_head
    written: dict[str, Tensor] = {
        "embed": body.wte(ids),
        "positions": body.wpe(torch.arange(ids.shape[1])).expand(len(ids), -1, -1),
    }

    def seen_by(target: str) -> Tensor:
        parts = [value for source, value in written.items() if (source, target) not in cut]
        return torch.stack([torch.zeros_like(written["embed"]), *parts]).sum(0)

    for layer, block in enumerate(body.h):
        heads = {f"head.{layer}.{head}": head for head in range(model.config.n_head)}
        outputs = {name: _head(block, head, seen_by(name)) for name, head in heads.items()}
        written.update(outputs)
        written[f"mlp.{layer}"] = block.mlp(block.ln_2(seen_by(f"mlp.{layer}")))
    return head(body.ln_f(seen_by(OUTPUT)))


def _head(block: Any, head: int, stream: Tensor) -> Tensor:
    attention = block.attn
    size = stream.shape[-1] // attention.num_heads
    queries, keys, values = attention.c_attn(block.ln_1(stream)).split(stream.shape[-1], dim=-1)
    mine = slice(head * size, (head + 1) * size)
    scores = queries[..., mine] @ keys[..., mine].transpose(1, 2) / size**0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1) @ values[..., mine] @ attention.c_proj.weight[mine]


def _side_by_side(source: str, target: str) -> bool:
    """Heads of one layer read the same stream."""
    return source.startswith("head.") and target.startswith("head.") and source.split(".")[1] == target.split(".")[1]
