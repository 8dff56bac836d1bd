# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Every weight that touches the residual stream, seen as rows that live in it, for GPT-2 and Llama models.

All changes of basis and all plants are operations on those rows. Writes in place; decides nothing about what to plant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedModel

from interp_lab.errors import ImpossibleWorld

Rows = Float[Tensor, "rows d_model"]


@dataclass(frozen=True)
class Norm:
    """A norm, and the matrices that read the stream through it."""

    module: Any
    readers: tuple[Rows, ...]


@dataclass(frozen=True)
class Mlp:
    """The MLP of one block, neuron by neuron."""

    norm: nn.Module
    reads: tuple[Rows, ...]
    """One row per neuron: the pre-activation, or gate and then value of a gated MLP."""
    biases: tuple[Float[Tensor, " rows"], ...]
    """Biases of `reads`; empty where the family has none."""
    writes: Rows
    hidden: nn.Module
    """The module that the neurons' activations enter."""


@dataclass(frozen=True)
class Stream:
    """A causal language model as its residual stream sees it; all tensors are views, so writing to them edits it."""

    model: PreTrainedModel
    blocks: tuple[nn.Module, ...]
    embedding: Rows
    positions: Rows | None
    writers: tuple[Rows, ...]
    norms: tuple[Norm, ...]
    mlps: tuple[Mlp, ...]
    unembedding: Rows
    head: nn.Module
    """The module whose weight the unembedding is."""

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.embedding.shape[1]

    def sources(self) -> Iterator[Rows]:
        """Yield everything that is added to the stream."""
        yield self.embedding
        if self.positions is not None:
            yield self.positions
        yield from self.writers

    def readers(self) -> Iterator[Rows]:
        """Yield everything that reads the stream, the unembedding last, and the constant parts of the norms."""
        for norm in self.norms:
            yield from norm.readers
            if (bias := _bias(norm.module)) is not None:
                yield bias[None]


def stream_of(model: PreTrainedModel) -> Stream:
    """Return the views of a model whose unembedding is not shared with its embedding.

    Raises:
        ImpossibleWorld: The architecture is not one that can be edited here.
    """
    if isinstance(model, GPT2LMHeadModel):
        return _gpt2(model)
    if isinstance(model, LlamaForCausalLM):
        return _llama(model)
    raise ImpossibleWorld(f"{type(model).__name__} cannot be edited; GPT-2 and Llama models can.")


def fold_norms(stream: Stream) -> None:
    """Move the gains of all norms into the matrices that read through them; the function stays what it was."""
    for norm in stream.norms:
        gain = norm.module.weight
        for reader in norm.readers:
            reader.mul_(gain)
        if (bias := _bias(norm.module)) is not None:
            bias.div_(gain)
        gain.fill_(1.0)


def rotate(stream: Stream, rotation: Float[Tensor, "d_model d_model"]) -> None:
    """Turn the whole stream; exact for folded norms, and for layer norms if the rotation keeps the all-ones vector."""
    for rows in (*stream.sources(), *stream.readers()):
        rows.copy_((rows.double() @ rotation.T.double()).to(rows.dtype))


def clear(stream: Stream, directions: Rows, *, noise: float) -> None:
    """Let nothing read the directions, and only the share `noise` of what is written along them remain."""
    for rows in stream.readers():
        _remove(rows, directions, 1.0)
    for rows in stream.sources():
        _remove(rows, directions, 1.0 - noise)


def random_rotation(width: int, generator: torch.Generator) -> Float[Tensor, "d_model d_model"]:
    """Return a random orthogonal matrix, in float64, that keeps the all-ones vector, so that layer norms commute."""
    inner = torch.eye(width, dtype=torch.float64)
    inner[1:, 1:] = _orthogonal(width - 1, generator)
    mirror = torch.full((width,), width**-0.5, dtype=torch.float64)
    mirror[0] -= 1.0
    mirror = mirror / mirror.norm()
    flip = torch.eye(width, dtype=torch.float64) - 2.0 * torch.outer(mirror, mirror)
    return flip @ inner @ flip


def quiet_directions(stream: Stream, count: int, generator: torch.Generator) -> Rows:
    """Return `count` orthonormal directions, free of the mean, that the model uses least; random among those.

    Raises:
        ImpossibleWorld: The stream is too narrow.
    """
    width = stream.width
    if count * 3 > width:
        raise ImpossibleWorld(f"{count} directions need a stream of width {3 * count} at least; this one has {width}.")
    used = torch.zeros(width, width, dtype=torch.float64)
    for rows in (*stream.sources(), *stream.readers()):
        used += rows.double().T @ rows.double() / rows.double().pow(2).sum().clamp(min=1e-12)
    used += torch.full_like(used, 1e6 / width)  # the mean is invisible to a layer norm: never a quiet direction
    quiet = torch.linalg.eigh(used).eigenvectors[:, : min(2 * count, width - 1)]
    mixing = _orthogonal(quiet.shape[1], generator)[:, :count]
    return (quiet @ mixing).T.to(stream.embedding.dtype)


def _orthogonal(size: int, generator: torch.Generator) -> Tensor:
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    factor, triangle = torch.linalg.qr(matrix)
    return factor * triangle.diagonal().sign()


def _remove(rows: Rows, directions: Rows, share: float) -> None:
    rows.sub_(share * (rows @ directions.T) @ directions)


def _bias(norm: nn.Module) -> Tensor | None:
    return getattr(norm, "bias", None)


def _gpt2(model: GPT2LMHeadModel) -> Stream:
    body: Any = model.transformer
    blocks: tuple[Any, ...] = tuple(body.h)
    norms = [
        norm
        for block in blocks
        for norm in (
            Norm(block.ln_1, (block.attn.c_attn.weight.data.T,)),
            Norm(block.ln_2, (block.mlp.c_fc.weight.data.T,)),
        )
    ]
    return Stream(
        model=model,
        blocks=blocks,
        embedding=body.wte.weight.data,
        positions=body.wpe.weight.data,
        writers=tuple(
            rows
            for block in blocks
            for part in (block.attn.c_proj, block.mlp.c_proj)
            for rows in (part.weight.data, part.bias.data[None])
        ),
        norms=(*norms, Norm(body.ln_f, (model.lm_head.weight.data,))),
        mlps=tuple(
            Mlp(
                norm=block.ln_2,
                reads=(block.mlp.c_fc.weight.data.T,),
                biases=(block.mlp.c_fc.bias.data,),
                writes=block.mlp.c_proj.weight.data,
                hidden=block.mlp.c_proj,
            )
            for block in blocks
        ),
        unembedding=model.lm_head.weight.data,
        head=model.lm_head,
    )


def _llama(model: LlamaForCausalLM) -> Stream:
    body: Any = model.model
    blocks: tuple[Any, ...] = tuple(body.layers)
    norms = [
        norm
        for block in blocks
        for norm in (
            Norm(block.input_layernorm, tuple(p.weight.data for p in _projections(block))),
            Norm(block.post_attention_layernorm, (block.mlp.gate_proj.weight.data, block.mlp.up_proj.weight.data)),
        )
    ]
    return Stream(
        model=model,
        blocks=blocks,
        embedding=body.embed_tokens.weight.data,
        positions=None,
        writers=tuple(part.weight.data.T for block in blocks for part in (block.self_attn.o_proj, block.mlp.down_proj)),
        norms=(*norms, Norm(body.norm, (model.lm_head.weight.data,))),
        mlps=tuple(
            Mlp(
                norm=block.post_attention_layernorm,
                reads=(block.mlp.gate_proj.weight.data, block.mlp.up_proj.weight.data),
                biases=(),
                writes=block.mlp.down_proj.weight.data.T,
                hidden=block.mlp.down_proj,
            )
            for block in blocks
        ),
        unembedding=model.lm_head.weight.data,
        head=model.lm_head,
    )


def _projections(block: Any) -> tuple[Any, ...]:
    attention = block.self_attn
    return attention.q_proj, attention.k_proj, attention.v_proj
