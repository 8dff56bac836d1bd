"""Planted circuits: the truth of fresh worlds is what interventions show, and an unplanted model fails every claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from interp_lab.contracts.worlds import PlantDials, PlantedFeature
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.base import make_base
from interp_lab.worlds.measure import measure
from interp_lab.worlds.passes import Edit, run
from interp_lab.worlds.plan import Plan
from interp_lab.worlds.planted import PlantedWorld, build_planted, checks_of, prepare
from interp_lab.worlds.stream import fold_norms, random_rotation, rotate, stream_of

SEEDS = range(30)
BASES = ("tiny-gpt2", "tiny-llama")
EVERY_DECOY = ("inert", "confounded", "redundant", "suppressor", "echo", "impostor")


@cache
def world(seed: int) -> PlantedWorld:
    dials = PlantDials(base=BASES[seed % 2], prompts=16, decoys=EVERY_DECOY, rotated=seed % 3 > 0)
    return build_planted(dials, seed)


def feature(seed: int, name: str) -> PlantedFeature:
    return next(found for found in world(seed).truth.features if found.name == name)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_claim_of_a_fresh_world_is_borne_out_by_intervention(seed: int) -> None:
    assert [check for check in world(seed).truth.checks if not check.holds] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_decoys_look_like_the_cause_and_do_not_act_like_it(seed: int) -> None:
    cause, total = feature(seed, "cause"), PlantDials().effect
    assert cause.auroc == 1.0
    assert cause.measured_effect > 0.8 * total
    for name in ("inert", "redundant_a", "redundant_b", "echo", "impostor"):
        assert feature(seed, name).auroc == 1.0
        assert abs(feature(seed, name).measured_effect) < 0.1 * total
    assert feature(seed, "suppressor").auroc == 1.0
    assert feature(seed, "suppressor").measured_effect < -0.3 * total
    assert feature(seed, "confounded").auroc > 0.6
    assert abs(feature(seed, "confounded").measured_effect) < 0.01 * total


@pytest.mark.parametrize("seed", SEEDS)
def test_a_redundant_pair_is_missed_only_when_both_are_gone(seed: int) -> None:
    (group,) = world(seed).truth.redundant
    assert group.measured_joint_effect == pytest.approx(group.intended_joint_effect, rel=0.2)
    for name in group.members:
        assert abs(feature(seed, name).measured_effect) < 0.1 * group.measured_joint_effect


@pytest.mark.parametrize("seed", SEEDS)
def test_ablation_on_negatives_changes_nothing(seed: int) -> None:
    for found in world(seed).truth.features:
        if found.role != "confounded":
            assert found.measured_off_target < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_switching_the_cause_on_in_a_negative_makes_it_behave_like_a_positive(seed: int) -> None:
    built = world(seed)
    cause, inert = feature(seed, "cause"), feature(seed, "inert")
    shift = {found.name: _added(built, found) for found in (cause, inert)}
    assert shift["cause"] > 0.6 * cause.measured_effect
    assert abs(shift["inert"]) < 0.1 * cause.measured_effect


def _added(built: PlantedWorld, found: PlantedFeature) -> float:
    layer = int(found.address.removeprefix("resid_post."))
    edit = Edit(layer, torch.tensor(found.direction), found.typical)
    before, after = (run(built.planted.stream, built.trial.inputs, edits) for edits in ([], [edit]))
    return float(built.trial.split(built.trial.metric(after) - built.trial.metric(before))[1].mean())


@pytest.mark.parametrize("seed", range(6))
def test_the_same_directions_in_an_unplanted_model_fail_the_claims(seed: int) -> None:
    built = world(seed)
    dials = built.truth.dials
    base = make_base(dials.base, seed)
    count = len(built.planted.plan.channels) + 1
    stream, _ = prepare(base, count, dials, Dice(seed, f"worlds/planted/{dials.base}"))
    measured = measure(replace(built.planted, stream=stream), built.trial)
    failed = {check.name for check in checks_of(measured, dials) if not check.holds}
    assert {"ablating cause", "ablating trigger", "ablating suppressor", "what cause_relay loses with cause"} <= failed


@pytest.mark.parametrize("claim", [("inert", "cause"), ("cause", "suppressor")])
def test_a_truth_with_two_roles_exchanged_fails_its_own_checks(claim: tuple[str, str]) -> None:
    built = world(0)
    first, second = claim
    renamed = {first: second, second: first}
    directions = {name: built.planted.directions[renamed.get(name, name)] for name in built.planted.directions}
    measured = measure(replace(built.planted, directions=directions), built.trial)
    assert f"ablating {second}" in {c.name for c in checks_of(measured, built.truth.dials) if not c.holds}


def test_a_path_that_was_not_planted_fails_its_check() -> None:
    built = world(0)
    steps = tuple(replace(s, reads=("inert",)) if s.writes == "cause_relay" else s for s in built.planted.plan.steps)
    wrong = replace(built.planted, plan=replace(built.planted.plan, steps=steps))
    failed = {c.name for c in checks_of(measure(wrong, built.trial), built.truth.dials) if not c.holds}
    assert {"what cause_relay loses with inert", "what cause_relay loses with cause"} <= failed


@pytest.mark.parametrize("name", BASES)
def test_turning_the_basis_leaves_the_function_alone(name: str) -> None:
    base, turned = make_base(name, 7), make_base(name, 7)
    inputs = world(BASES.index(name)).trial.inputs
    stream = stream_of(turned.model)
    fold_norms(stream)
    rotate(stream, random_rotation(stream.width, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(
        run(stream, inputs).logits, run(stream_of(base.model), inputs).logits, atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(stream.embedding, stream_of(base.model).embedding, atol=1e-2)


def test_a_rotation_that_moves_the_mean_changes_a_layer_norm_model() -> None:
    inputs = world(0).trial.inputs
    base, turned = make_base("tiny-gpt2", 7), make_base("tiny-gpt2", 7)
    stream = stream_of(turned.model)
    fold_norms(stream)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rotate(stream, torch.linalg.qr(torch.randn(stream.width, stream.width, dtype=torch.float64)).Q)
    assert not torch.allclose(run(stream, inputs).logits, run(stream_of(base.model), inputs).logits, atol=1e-2)


@pytest.mark.parametrize("effect", [0.5, 6.0])
def test_the_effect_dial_sets_the_measured_effect(effect: float) -> None:
    truth = build_planted(PlantDials(effect=effect, prompts=16), 40).truth
    cause = next(found for found in truth.features if found.name == "cause")
    assert cause.measured_effect == pytest.approx(effect, rel=0.2)


def test_noise_spoils_the_correlation_of_planted_directions() -> None:
    loud, quiet = (build_planted(PlantDials(noise=noise, prompts=16), 41).truth for noise in (1.0, 0.0))
    assert min(found.auroc for found in loud.features if found.role == "cause") < 1.0
    assert min(found.auroc for found in quiet.features if found.role == "cause") == 1.0


@pytest.mark.parametrize(("dial", "low", "high"), [(0.5, 0.2, 0.8), (1.0, 1.0, 1.0)])
def test_the_confounding_dial_decides_how_often_the_mark_gives_the_label_away(
    dial: float, low: float, high: float
) -> None:
    prompts = build_planted(PlantDials(confounding=dial, prompts=32, decoys=()), 42).prompts
    agree = [bool(prompt.labels["marked"]) == (prompt.score == 1.0) for prompt in prompts]
    assert low <= sum(agree) / len(agree) <= high


@pytest.mark.parametrize("name", ["builtin:pocket-gpt2", "builtin:pocket-llama"])
def test_a_model_in_the_box_can_carry_a_plant(name: str) -> None:
    built = build_planted(PlantDials(base=name, prompts=16), 3)
    assert [check for check in built.truth.checks if not check.holds] == []
    assert built.truth.drift < 0.5


def _plan(choose: Callable[[Plan], object], **dials: object) -> object:
    return choose(build_planted(PlantDials.model_validate({"prompts": 8, **dials}), 5).planted.plan)


def test_only_the_decoys_that_are_asked_for_are_planted() -> None:
    assert _plan(lambda plan: {channel.role for channel in plan.channels}, decoys=("inert",)) == {
        "trigger", "cause", "relay", "inert",
    }  # fmt: skip
