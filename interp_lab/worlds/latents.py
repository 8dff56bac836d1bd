# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""The directions of a planted world as latents of dictionaries, in random order among bystanders; the key apart.

A bystander reads and writes a random direction without any part along a planted one: it carries what the model itself
does, and fires as seldom as planted latents do. What every latent does was measured by passes over all prompts, not
only believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.worlds import FeatureRole, PlantedFeature
from interp_lab.corpus.dice import Dice
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.errors import ImpossibleWorld
from interp_lab.worlds.passes import Edit, run
from interp_lab.worlds.planted import PlantedWorld

N_LATENTS = 48
"""Latents of each dictionary: most of those that fire about as often as a planted one are bystanders."""

_RATES = (0.03, 0.3)
"""Share of tokens on which bystanders fire, from the least to the most."""

ACTS_FROM = 0.1
"""Share of the cause's intended effect from which a direction counts as a cause where the construction does not say:
what the norms of a model leak lies below it."""

LatentKind = Literal[FeatureRole, "bystander"]


@dataclass(frozen=True, slots=True)
class LatentTruth:
    """What is true of one latent; for scoring only."""

    address: str
    index: int
    name: str
    """Of the planted direction, or 'bystander'."""
    kind: LatentKind
    effect: float
    """Target logits less alternatives that ablating it costs, mean over all positives."""
    causal: bool

    @property
    def sign(self) -> int:
        """Which way it moves the behaviour; 0 for one that does not."""
        return ((self.effect > 0) - (self.effect < 0)) * self.causal


@dataclass(frozen=True, eq=False)
class HiddenLatents:
    """Dictionaries by address, and the key to them."""

    dictionaries: Mapping[str, Dictionary]
    key: tuple[LatentTruth, ...]


def hide(built: PlantedWorld, seed: int, *, n_latents: int = N_LATENTS) -> HiddenLatents:
    """Return a ReLU dictionary for each address of a planted world, with its key.

    Raises:
        ImpossibleWorld: An address has more planted directions than a dictionary has latents.
    """
    dice = Dice(seed, "worlds/latents")
    found: dict[str, Dictionary] = {}
    key: list[LatentTruth] = []
    planted = torch.stack([*built.planted.directions.values()])
    for address in sorted({feature.address for feature in built.truth.features}):
        own = [feature for feature in built.truth.features if feature.address == address]
        if len(own) > n_latents:
            raise ImpossibleWorld(f"{len(own)} directions do not fit a dictionary of {n_latents} latents.")
        rows = torch.cat(
            [
                torch.tensor([feature.direction for feature in own], dtype=planted.dtype),
                _bystanders(planted, n_latents - len(own), dice.fork(address)),
            ]
        )
        from_value = _thresholds(
            built, int(address.rsplit(".", 1)[1]), rows, n_planted=len(own), dice=dice.fork(f"{address}/rates")
        )
        order = dice.fork(f"{address}/order").sample(range(n_latents), n_latents)
        found[address] = _dictionary(rows[order], from_value[order], address)
        features = [own[i] if i < len(own) else None for i in order]
        key += _measured(built, found[address], features)
    return HiddenLatents(found, tuple(key))


def _thresholds(
    built: PlantedWorld, layer: int, rows: Float[Tensor, "n_latents d_model"], *, n_planted: int, dice: Dice
) -> Float[Tensor, " n_latents"]:
    """Return the coordinate from which each latent fires: zero for planted ones, by rate for bystanders."""
    inputs = built.trial.inputs
    values = run(built.planted.stream, inputs).stream[layer][inputs.mask.bool()] @ rows.T
    low, high = _RATES
    rates = [low * (high / low) ** dice.unit() for _ in range(len(rows) - n_planted)]
    found = [torch.quantile(values[:, n_planted + i], 1 - rate) for i, rate in enumerate(rates)]
    return torch.cat([torch.zeros(n_planted), torch.stack(found)])


def _bystanders(planted: Float[Tensor, "n d_model"], count: int, dice: Dice) -> Float[Tensor, "count d_model"]:
    generator = torch.Generator().manual_seed(dice.integer(0, 2**31))
    rows = torch.randn(count, planted.shape[1], generator=generator, dtype=planted.dtype)
    rows = rows - (rows @ planted.T) @ planted
    return rows / rows.norm(dim=1, keepdim=True)


def _dictionary(
    rows: Float[Tensor, "n_latents d_model"], from_value: Float[Tensor, " n_latents"], address: str
) -> Dictionary:
    n_latents, width = rows.shape
    config = DictionaryConfig(
        architecture="relu",
        d_in=width,
        d_out=width,
        n_latents=n_latents,
        addresses_in=(address,),
        apply_b_dec_to_input=False,
    )
    return Dictionary(config, W_enc=rows.T.contiguous(), W_dec=rows, b_dec=torch.zeros(width), b_enc=-from_value)


def _measured(
    built: PlantedWorld, dictionary: Dictionary, features: Sequence[PlantedFeature | None]
) -> Iterator[LatentTruth]:
    (address,) = dictionary.config.addresses_in
    trial, layer = built.trial, int(address.rsplit(".", 1)[1])
    assert dictionary.b_enc is not None
    positives = trial.inputs.rows([row for row, positive in enumerate(trial.positive) if positive])
    whole = trial.metric(run(built.planted.stream, positives))
    dials = built.truth.dials
    for index, (row, bias, feature) in enumerate(zip(dictionary.W_dec, dictionary.b_enc, features, strict=True)):
        ablation = Edit(layer, row, value=-float(bias), above=True)
        without = trial.metric(run(built.planted.stream, positives, [ablation]))
        effect = float((whole - without).mean())
        acts = abs(effect) > ACTS_FROM * dials.effect
        if feature is not None and not dials.noise:
            acts = feature.intended_effect != 0
        yield LatentTruth(
            address=address,
            index=index,
            name=feature.name if feature else "bystander",
            kind=feature.role if feature else "bystander",
            effect=effect,
            causal=acts,
        )
