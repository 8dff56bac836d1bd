# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A plan becomes weights: rank-one edits of embedding, neurons and unembedding, sized by what passes really show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp_lab.contracts.worlds import Unit
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.passes import Inputs, entering
from interp_lab.worlds.plan import CONSTANT, MARK, TRIGGER, Plan, Step
from interp_lab.worlds.stream import Mlp, Stream

_STEEPNESS = 64.0
"""Pre-activation per unit of a channel's value, so that a neuron is fully on or fully off."""

_THRESHOLD, _CEILING = 0.2, 0.5
"""Where a neuron begins to fire, and where a second neuron begins to take away what is more: between the two lies the
step. Whatever varies in a channel above the ceiling (a norm divides by more or less) is not passed on."""


class Words(NamedTuple):
    """Token ids by the part they play."""

    triggers: Sequence[int]
    mark: int
    classes: Mapping[str, Sequence[int]]
    """Classes of words that a readout can promote: 'targets', 'bystanders'."""


@dataclass(frozen=True)
class Planted:
    """A model with a plan in it."""

    stream: Stream
    plan: Plan
    directions: dict[str, Float[Tensor, " d_model"]]
    scale: dict[str, float] = field(default_factory=dict)
    """Length along its direction of a channel that is on."""
    units: dict[str, tuple[Unit, ...]] = field(default_factory=dict)
    """The neurons that write each channel."""
    readers: dict[str, tuple[Unit, ...]] = field(default_factory=dict)
    """The neurons that read each channel."""


def plant(
    stream: Stream, plan: Plan, directions: Float[Tensor, "channels d_model"], *, words: Words, on: Inputs, dice: Dice
) -> Planted:
    """Write the plan into a model whose stream has been cleared of the directions; `on` are prompts that trigger it."""
    names = (CONSTANT, *(channel.name for channel in plan.channels))
    planted = Planted(stream, plan, dict(zip(names, directions, strict=True)))
    _tag_embedding(planted, words)
    for layer in sorted({step.layer for step in plan.steps}):
        free = dice.sample(range(len(stream.mlps[layer].writes)), 2 * len(plan.steps))
        _place(planted, [step for step in plan.steps if step.layer == layer], free, on)
    _read_out(planted, words, on)
    return planted


def _tag_embedding(planted: Planted, words: Words) -> None:
    embedding = planted.stream.embedding
    typical = float(embedding.pow(2).mean().sqrt())
    embedding.add_(typical * planted.directions[CONSTANT])
    planted.scale[CONSTANT] = typical
    tags = {TRIGGER: list(words.triggers), MARK: [words.mark]}
    for name, ids in tags.items():
        if name in planted.directions:
            embedding[ids] += typical * planted.directions[name]
            planted.scale[name] = typical


def _place(planted: Planted, steps: Sequence[Step], free: list[int], on: Inputs) -> None:
    """All steps of one layer: reads first, then, from the activations that follow, writes."""
    mlp = planted.stream.mlps[steps[0].layer]
    spread = _spread(planted.stream, mlp.norm, on)
    for step in steps:
        units = (Unit(layer=step.layer, neuron=free.pop()), Unit(layer=step.layer, neuron=free.pop()))
        for unit, level in zip(units, (_THRESHOLD, _CEILING), strict=True):
            _set_reads(planted, mlp, step, unit=unit.neuron, level=level, spread=spread)
        planted.units[step.writes] = units
        for read in step.reads:
            planted.readers[read] = (*planted.readers.get(read, ()), *units)
    (hidden,) = entering(planted.stream, on, [mlp.hidden])
    for step in steps:
        _set_writes(planted, mlp, step, hidden=hidden, length=spread)


def _set_reads(planted: Planted, mlp: Mlp, step: Step, *, unit: int, level: float, spread: float) -> None:
    constant = planted.directions[CONSTANT] / planted.scale[CONSTANT]
    total = torch.stack([planted.directions[name] / planted.scale[name] for name in step.reads]).sum(0)
    mlp.reads[0][unit] = _STEEPNESS * spread * (total - level * constant)
    for value in mlp.reads[1:]:
        value[unit] = spread * constant
    for bias in mlp.biases:
        bias[unit] = 0.0


def _set_writes(planted: Planted, mlp: Mlp, step: Step, *, hidden: Tensor, length: float) -> None:
    first, excess = (unit.neuron for unit in planted.units[step.writes])
    row = length / float((hidden[:, first] - hidden[:, excess]).mean()) * planted.directions[step.writes]
    mlp.writes[first] = row
    mlp.writes[excess] = -row
    planted.scale[step.writes] = length


def _read_out(planted: Planted, words: Words, on: Inputs) -> None:
    """What leaves the last norm is measured, so that the mean effect is what was asked for."""
    stream = planted.stream
    (normed,) = entering(stream, on, [stream.head])
    for readout in planted.plan.readouts:
        direction = planted.directions[readout.channel]
        row = readout.effect / float((normed @ direction).mean()) * direction
        stream.unembedding[list(words.classes[readout.words])] += row


def _spread(stream: Stream, norm: nn.Module, on: Inputs) -> float:
    """Typical length per coordinate of what enters a norm: what it divides by."""
    (state,) = entering(stream, on, [norm])
    return float(state.pow(2).mean(dim=1).sqrt().mean())
