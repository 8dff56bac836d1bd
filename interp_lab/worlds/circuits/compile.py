# pyright: standard

"""From a blueprint to a GPT-2 model in plain Hugging Face format.

The layer norms are given so large an epsilon that, in float32, they only subtract the mean; the slots lie along
directions without a mean, so the model computes its program exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from interp_lab.worlds.circuits.blueprint import DISTRACTION, HEADS, LAYERS, Blueprint, Head, Neuron

_EPSILON = 1e10
_SPARE_NEURONS = 4

_LOUDNESS = 0.4
"""Spread of the distractors' random weights: about as loud as the program, so that float32 stays exact."""

Frame = Float[Tensor, "slots d_model"]


def frame_of(total: int, generator: torch.Generator, *, rotated: bool) -> Frame:
    """Return orthonormal directions without a mean, one per slot: random ones, or pairs of coordinates."""
    width = 2 * total + (2 * total) % HEADS
    if not rotated:
        frame = torch.zeros(total, width, dtype=torch.float64)
        frame[range(total), range(0, 2 * total, 2)] = 2**-0.5
        frame[range(total), range(1, 2 * total, 2)] = -(2**-0.5)
        return frame
    draws = torch.randn(width, total, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(draws - draws.mean(0)).Q.T.contiguous()


def distractors(blueprint: Blueprint, generator: torch.Generator) -> Blueprint:
    """Return the blueprint with every free head, and some neurons, busy with what nothing else reads."""
    used = {(head.layer, head.head) for head in blueprint.heads}
    free = [(layer, head) for layer in range(LAYERS) for head in range(HEADS) if (layer, head) not in used]
    slots = blueprint.slots

    def draw(*shape: int) -> Tensor:
        return _LOUDNESS * torch.randn(*shape, generator=generator, dtype=torch.float64)

    heads = tuple(
        Head(
            layer=layer,
            head=head,
            query=draw(slots.total, 4),
            key=draw(slots.total, 4),
            value=draw(slots.total, 4),
            output=(slots.pick(DISTRACTION) @ draw(4, 4)).T,
            always=draw(4),
        )
        for layer, head in free
    )
    neurons = tuple(
        Neuron(layer, draw(slots.total), float(draw(1)), slots.pick(DISTRACTION) @ draw(4))
        for layer in range(LAYERS)
        for _ in range(_SPARE_NEURONS)
    )
    return replace(blueprint, heads=blueprint.heads + heads, neurons=blueprint.neurons + neurons)


def compile_model(blueprint: Blueprint, frame: Frame) -> GPT2LMHeadModel:
    """Return the model that computes the blueprint, its slots along the rows of `frame`."""
    model: Any = GPT2LMHeadModel(_config(blueprint, frame.shape[1])).eval().requires_grad_(requires_grad=False)
    for name, parameter in model.named_parameters():
        parameter.fill_(math.sqrt(_EPSILON) if ".ln_" in name and name.endswith("weight") else 0.0)
    body = model.transformer
    body.wte.weight.copy_(blueprint.embed @ frame)
    body.wpe.weight.copy_(blueprint.slots.pick("position").T @ frame)
    model.lm_head.weight.copy_(blueprint.unembed.T @ frame)
    for head in blueprint.heads:
        _set_head(body.h[head.layer].attn, head, frame)
    for layer in range(LAYERS):
        for place, neuron in enumerate(n for n in blueprint.neurons if n.layer == layer):
            _set_neuron(body.h[layer].mlp, place, neuron, frame)
    return model


def _config(blueprint: Blueprint, width: int) -> GPT2Config:
    busiest = max(sum(n.layer == layer for n in blueprint.neurons) for layer in range(LAYERS))
    return GPT2Config(
        vocab_size=len(blueprint.vocabulary.pieces),
        n_positions=blueprint.slots.sizes["position"],
        n_embd=width,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=max(busiest, 1),
        activation_function="relu",
        layer_norm_epsilon=_EPSILON,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )


def _set_head(attention: Any, head: Head, frame: Frame) -> None:
    width = frame.shape[1]
    size = width // HEADS
    weight, bias = attention.c_attn.weight, attention.c_attn.bias
    for part, matrix in enumerate((head.query * math.sqrt(size), head.key, head.value)):
        first = part * width + head.head * size
        weight[:, first : first + matrix.shape[1]] = (frame.T @ matrix).to(weight.dtype)
    bias[head.head * size : head.head * size + len(head.always)] = (head.always * math.sqrt(size)).to(bias.dtype)
    first = head.head * size
    attention.c_proj.weight[first : first + len(head.output)] = (head.output @ frame).to(weight.dtype)


def _set_neuron(mlp: Any, place: int, neuron: Neuron, frame: Frame) -> None:
    mlp.c_fc.weight[:, place] = (neuron.reads @ frame).to(mlp.c_fc.weight.dtype)
    mlp.c_fc.bias[place] = neuron.bias
    mlp.c_proj.weight[place] = (neuron.writes @ frame).to(mlp.c_proj.weight.dtype)
