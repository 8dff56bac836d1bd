# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What planted directions do, measured: one pass per ablation, over all prompts, and the checks that follow.

Measures any model along any directions, so the same code shows that an unplanted model fails the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.worlds import PlantedEdge, PlantedFeature, RedundantGroup
from interp_lab.statistics.auroc import auroc
from interp_lab.worlds.passes import Edit, Inputs, Pass, run
from interp_lab.worlds.plan import Channel
from interp_lab.worlds.plant import Planted

OUTPUT = "output"
"""The behaviour, as the end of an edge."""


@dataclass(frozen=True)
class Trial:
    """The prompts, which of them are positive, and the metric: mean target logit minus mean alternative logit."""

    inputs: Inputs
    positive: tuple[bool, ...]
    targets: tuple[int, ...]
    alternatives: tuple[int, ...]

    def metric(self, seen: Pass) -> Float[Tensor, " batch"]:
        """Return the behaviour on every prompt."""
        return seen.logits[:, list(self.targets)].mean(1) - seen.logits[:, list(self.alternatives)].mean(1)

    def split(self, values: Float[Tensor, " batch"]) -> tuple[Tensor, Tensor]:
        """Return the values of positives and of negatives."""
        positive = torch.tensor(self.positive)
        return values[positive], values[~positive]


@dataclass(frozen=True)
class Measured:
    """Everything that was seen of one model."""

    features: tuple[PlantedFeature, ...]
    edges: tuple[PlantedEdge, ...]
    redundant: tuple[RedundantGroup, ...]


def measure(planted: Planted, trial: Trial) -> Measured:
    """Return what every channel correlates with and does, and which channel depends on which."""
    whole = run(planted.stream, trial.inputs)
    without = {
        channel.name: run(planted.stream, trial.inputs, _ablation(planted, [channel.name]))
        for channel in planted.plan.channels
    }
    return Measured(
        features=tuple(
            _feature(planted, c, trial, whole=whole, without=without[c.name]) for c in planted.plan.channels
        ),
        edges=tuple(_edges(planted, trial, whole, without)),
        redundant=tuple(_group(planted, trial, whole, members) for members in planted.plan.redundant),
    )


def coordinates(planted: Planted, seen: Pass, channel: Channel) -> Float[Tensor, " batch"]:
    """Return the largest coordinate of each prompt along a channel, where the channel is complete."""
    return (seen.stream[channel.layer] @ planted.directions[channel.name]).amax(dim=1)


def _ablation(planted: Planted, names: Sequence[str]) -> list[Edit]:
    return [Edit(planted.plan.channel(name).layer, planted.directions[name]) for name in names]


def _feature(planted: Planted, channel: Channel, trial: Trial, *, whole: Pass, without: Pass) -> PlantedFeature:
    values = coordinates(planted, whole, channel)
    lost, lost_elsewhere = trial.split(trial.metric(whole) - trial.metric(without))
    readers = planted.readers.get(channel.name, ())
    return PlantedFeature(
        name=channel.name,
        role=channel.role,
        address=f"resid_post.{channel.layer}",
        direction=tuple(planted.directions[channel.name].tolist()),
        written_by=planted.units.get(channel.name, ()),
        read_by=readers,
        read_by_output=any(readout.channel == channel.name for readout in planted.plan.readouts),
        typical=float(trial.split(values)[0].mean()),
        auroc=float(auroc(values[:, None].numpy(), trial.positive)[0]),
        intended_effect=channel.effect,
        measured_effect=float(lost.mean()),
        spread=(float(lost.min()), float(lost.max())),
        measured_off_target=float(lost_elsewhere.abs().mean()),
    )


def _edges(planted: Planted, trial: Trial, whole: Pass, without: dict[str, Pass]) -> Iterator[PlantedEdge]:
    for source, target in permutations(planted.plan.channels, 2):
        if source.layer < target.layer:
            before, after = (
                trial.split(coordinates(planted, seen, target))[0].mean() for seen in (whole, without[source.name])
            )
            yield PlantedEdge(
                source=source.name,
                target=target.name,
                planted=planted.plan.path_exists(source.name, target.name),
                measured=float((before - after) / before),
            )


def _group(planted: Planted, trial: Trial, whole: Pass, members: tuple[str, ...]) -> RedundantGroup:
    joint = run(planted.stream, trial.inputs, _ablation(planted, members))
    relay = next(step.writes for step in planted.plan.steps if set(step.reads) == set(members))
    return RedundantGroup(
        members=members,
        intended_joint_effect=planted.plan.channel(relay).effect,
        measured_joint_effect=float(trial.split(trial.metric(whole) - trial.metric(joint))[0].mean()),
    )
