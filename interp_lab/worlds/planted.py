# pyright: standard
"""Worlds of kind 'planted': one model with a planted cause, its decoys, and a dataset that triggers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.contracts.worlds import Check, PlantDials, PlantedEdge, PlantedFeature, PlantedTruth
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.base import Base, make_base
from interp_lab.worlds.folder import DATASET, TRUTH, World, model_files, prompt_lines, truth_bytes
from interp_lab.worlds.measure import Measured, Trial, measure
from interp_lab.worlds.passes import Inputs, pad, run
from interp_lab.worlds.plan import CONSTANT, draw_plan
from interp_lab.worlds.plant import Planted, Words, plant
from interp_lab.worlds.prompts import Cast, draw_cast, write_prompts
from interp_lab.worlds.stream import Stream, clear, fold_norms, quiet_directions, random_rotation, rotate, stream_of

_EFFECT_TOLERANCE = 0.2
"""Share of an intended effect by which the measured one may differ: norms divide by more when a plant is active."""

_LEAK_TOLERANCE = 0.1
"""Share of the cause's effect that an inert direction may have: what it adds to the norm that others are divided by."""

_EDGE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Scene:
    """The prompts of one planted world and the words in them, before any model is edited."""

    cast: Cast
    prompts: tuple[ScoredPrompt, ...]


@dataclass(frozen=True)
class PlantedWorld:
    """A finished planted model with everything that was measured of it."""

    base: Base
    """The edited model; its tokenizer was left alone."""
    planted: Planted
    trial: Trial
    prompts: tuple[ScoredPrompt, ...]
    truth: PlantedTruth


def draw_scene(base: Base, dials: PlantDials, dice: Dice) -> Scene:
    """Return a cast and its prompts."""
    cast = draw_cast(base.vocabulary, dice.fork("cast"))
    return Scene(cast, write_prompts(cast, base.vocabulary.mark, dials, dice.fork("prompts")))


def build_planted(dials: PlantDials, seed: int, *, scene: Scene | None = None) -> PlantedWorld:
    """Return a verified planted world; a scene that is given is used instead of one of its own.

    Raises:
        ImpossibleWorld: The base is unknown here, or its stream is too narrow for the decoys.
    """
    dice = Dice(seed, f"worlds/planted/{dials.base}")
    base = make_base(dials.base, seed)
    scene = scene or draw_scene(base, dials, dice)
    trial = trial_of(base, scene)
    before = run(stream_of(base.model), negatives(trial)).logits
    planted = edit(base, scene, trial, dials=dials, dice=dice)
    drift = divergence(before, run(planted.stream, negatives(trial)).logits)
    return PlantedWorld(base, planted, trial, scene.prompts, truth_of(planted, trial, scene.cast, dials, drift=drift))


def trial_of(base: Base, scene: Scene) -> Trial:
    """Return the prompts as tokens, with the metric that the cast implies."""
    vocabulary = base.vocabulary
    return Trial(
        inputs=pad([vocabulary.ids(prompt.text) for prompt in scene.prompts], filler=0),
        positive=tuple(prompt.score > 0.5 for prompt in scene.prompts),
        targets=_ids(base, scene.cast.targets),
        alternatives=_ids(base, scene.cast.alternatives),
    )


def prepare(base: Base, count: int, dials: PlantDials, dice: Dice) -> tuple[Stream, torch.Tensor]:
    """Fold, turn and clear the model in place; return its stream and the cleared directions."""
    generator = torch.Generator().manual_seed(dice.fork("directions").integer(0, 2**31))
    stream = stream_of(base.model)
    fold_norms(stream)
    if dials.rotated:
        rotate(stream, random_rotation(stream.width, generator))
    directions = quiet_directions(stream, count, generator)
    clear(stream, directions, noise=dials.noise)
    return stream, directions


def edit(base: Base, scene: Scene, trial: Trial, *, dials: PlantDials, dice: Dice) -> Planted:
    """Plant what the dials ask for into the base, in place."""
    plan = draw_plan(dials, len(stream_of(base.model).blocks), dice.fork("plan"))
    stream, directions = prepare(base, len(plan.channels) + 1, dials, dice)
    classes = {"targets": trial.targets, "bystanders": _ids(base, scene.cast.bystanders)}
    words = Words(_ids(base, scene.cast.triggers), base.vocabulary.id_of(base.vocabulary.mark), classes)
    on = trial.inputs.rows([row for row, positive in enumerate(trial.positive) if positive])
    return plant(stream, plan, directions, words=words, on=on, dice=dice.fork("neurons"))


def truth_of(planted: Planted, trial: Trial, cast: Cast, dials: PlantDials, *, drift: float) -> PlantedTruth:
    """Return what is measured of the planted model, with the checks that its construction implies."""
    measured = measure(planted, trial)
    return PlantedTruth(
        dials=dials,
        triggers=cast.triggers,
        plain=cast.plain,
        targets=cast.targets,
        alternatives=cast.alternatives,
        features=measured.features,
        constant=tuple(planted.directions[CONSTANT].tolist()),
        edges=measured.edges,
        redundant=measured.redundant,
        drift=drift,
        checks=tuple(checks_of(measured, dials)),
    )


def checks_of(measured: Measured, dials: PlantDials) -> Iterator[Check]:
    """Yield the claims that every planted model without noise must bear out."""
    for feature in measured.features:
        yield _effect_check(feature, dials)
    for edge in measured.edges:
        yield _edge_check(edge, [group.members for group in measured.redundant])
    for group in measured.redundant:
        yield Check(
            name=f"ablating {' and '.join(group.members)} together",
            expected=group.intended_joint_effect,
            measured=group.measured_joint_effect,
            tolerance=_EFFECT_TOLERANCE * group.intended_joint_effect,
        )


def negatives(trial: Trial) -> Inputs:
    """Return the prompts on which nothing is triggered."""
    return trial.inputs.rows([row for row, positive in enumerate(trial.positive) if not positive])


def divergence(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the mean KL divergence, in nats, of the later next-token distribution from the earlier one."""
    log_before, log_after = before.log_softmax(-1), after.log_softmax(-1)
    return float((log_before.exp() * (log_before - log_after)).sum(-1).mean())


def _effect_check(feature: PlantedFeature, dials: PlantDials) -> Check:
    tolerance = _EFFECT_TOLERANCE * abs(feature.intended_effect) if feature.intended_effect else 0.0
    return Check(
        name=f"ablating {feature.name}",
        expected=feature.intended_effect,
        measured=feature.measured_effect,
        tolerance=max(tolerance, _LEAK_TOLERANCE * dials.effect),
    )


def _edge_check(edge: PlantedEdge, redundant: Sequence[Sequence[str]]) -> Check:
    carries = edge.planted and not any(edge.source in members for members in redundant)
    return Check(
        name=f"what {edge.target} loses with {edge.source}",
        expected=1.0 if carries else 0.0,
        measured=edge.measured,
        tolerance=_EDGE_TOLERANCE,
    )


def _ids(base: Base, words: Sequence[str]) -> tuple[int, ...]:
    return tuple(base.vocabulary.id_of(word) for word in words)


def planted_world(dials: PlantDials, seed: int) -> World:
    """Return the files of a planted world."""
    return as_world(build_planted(dials, seed), seed)


def as_world(built: PlantedWorld, seed: int) -> World:
    """Return a planted world as its files."""
    return World(
        kind="planted",
        seed=seed,
        models=("model",),
        open_files={
            **model_files("model", built.base.model, built.base.vocabulary.tokenizer),
            DATASET: prompt_lines(built.prompts),
        },
        sealed_files={TRUTH: truth_bytes(built.truth)},
    )
