# pyright: standard
"""Worlds of two models: the same concept in different bases and widths, and a base beside its planted twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import torch

from interp_lab.contracts.worlds import (
    ChangedWeight,
    Check,
    DiffTruth,
    FeatureMatch,
    PairDials,
    PlantedFeature,
    TwinsTruth,
)
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.base import make_base
from interp_lab.worlds.folder import DATASET, TRUTH, World, model_files, prompt_lines, truth_bytes
from interp_lab.worlds.measure import Measured, measure
from interp_lab.worlds.planted import PlantedWorld, build_planted, draw_scene, prepare

_CONCEPT_ROLES = ("cause", "inert", "suppressor", "impostor")
"""Features that a tool may put forward as the counterpart of another model's."""

_NOTHING = 0.01
"""Share of the effect that counts as none in a model without a plant."""


def twins_world(dials: PairDials, seed: int) -> World:
    """Return two models of different family, width and basis that carry one concept, each with its impostors."""
    dice = Dice(seed, "worlds/twins")
    bases = ("tiny-gpt2", "tiny-llama") if dice.chance(0.5) else ("tiny-llama", "tiny-gpt2")
    scene = draw_scene(make_base(bases[0], seed), dials.plant(bases[0]), dice)
    a, b = (build_planted(dials.plant(base), seed, scene=scene) for base in bases)
    truth = TwinsTruth(a=a.truth, b=b.truth, matches=tuple(_matches(a, b)))
    return World(
        kind="twins",
        seed=seed,
        models=("a", "b"),
        open_files={
            **model_files("a", a.base.model, a.base.vocabulary.tokenizer),
            **model_files("b", b.base.model, b.base.vocabulary.tokenizer),
            DATASET: prompt_lines(scene.prompts),
        },
        sealed_files={TRUTH: truth_bytes(truth)},
    )


def diff_world(dials: PairDials, seed: int) -> World:
    """Return a base model and its twin, which differs by the planted weights alone."""
    built, base = diff_pair(dials, seed)
    before = replace(built.planted, stream=base.planted.stream)
    truth = DiffTruth(
        planted=built.truth,
        changed=tuple(changed_weights(base, built)),
        checks=tuple(nothing_planted(measure(before, built.trial), dials.effect)),
    )
    return World(
        kind="diff",
        seed=seed,
        models=("base", "planted"),
        open_files={
            **model_files("base", base.base.model, base.base.vocabulary.tokenizer),
            **model_files("planted", built.base.model, built.base.vocabulary.tokenizer),
            DATASET: prompt_lines(built.prompts),
        },
        sealed_files={TRUTH: truth_bytes(truth)},
    )


def diff_pair(dials: PairDials, seed: int) -> tuple[PlantedWorld, PlantedWorld]:
    """Return the planted world, and the same with the model as it was before anything was planted."""
    dice = Dice(seed, "worlds/diff")
    plant = dials.plant(dice.pick(("tiny-gpt2", "tiny-llama")))
    built = build_planted(plant, seed)
    base = make_base(plant.base, seed)
    stream, _ = prepare(base, len(built.planted.directions), plant, Dice(seed, f"worlds/planted/{plant.base}"))
    return built, replace(built, base=base, planted=replace(built.planted, stream=stream))


def changed_weights(base: PlantedWorld, planted: PlantedWorld) -> Iterator[ChangedWeight]:
    """Yield every weight that differs, with the rank of the difference."""
    after = dict(planted.base.model.named_parameters())
    for name, parameter in base.base.model.named_parameters():
        difference = (after[name] - parameter).double()
        if difference.any():
            rank = int(torch.linalg.matrix_rank(torch.atleast_2d(difference), rtol=1e-5))
            yield ChangedWeight(name=name, rank=rank)


def nothing_planted(measured: Measured, effect: float) -> Iterator[Check]:
    """Yield that ablating each direction changes nothing in a model into which nothing was planted."""
    for feature in measured.features:
        yield Check(
            name=f"ablating {feature.name} before it was planted",
            expected=0.0,
            measured=feature.measured_effect,
            tolerance=_NOTHING * effect,
        )


def _matches(a: PlantedWorld, b: PlantedWorld) -> Iterator[FeatureMatch]:
    for first, second in product(_concepts(a), _concepts(b)):
        yield FeatureMatch(a=first.name, b=second.name, same=first.role == second.role != "inert")


def _concepts(world: PlantedWorld) -> list[PlantedFeature]:
    return [found for found in world.truth.features if found.role in _CONCEPT_ROLES and found.name == found.role]
