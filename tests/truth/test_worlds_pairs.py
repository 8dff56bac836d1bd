"""Pairs of models: one concept in two bases and widths, and a base that lacks exactly what its twin has."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from interp_lab.contracts.worlds import DiffTruth, PairDials, TwinsTruth
from interp_lab.worlds.catalogue import checks_in, make_world
from interp_lab.worlds.measure import measure
from interp_lab.worlds.pairs import changed_weights, diff_pair, nothing_planted
from interp_lab.worlds.passes import run

SEEDS = range(30)


@cache
def twins(seed: int) -> TwinsTruth:
    truth = make_world("twins", seed, prompts=16).truth
    assert isinstance(truth, TwinsTruth)
    return truth


@cache
def diff(seed: int) -> DiffTruth:
    truth = make_world("diff", seed, prompts=16).truth
    assert isinstance(truth, DiffTruth)
    return truth


@pytest.mark.parametrize("seed", SEEDS)
def test_twins_share_a_concept_and_differ_in_width(seed: int) -> None:
    truth = twins(seed)
    assert all(check.holds for check in checks_in(truth))
    assert (truth.a.triggers, truth.a.targets) == (truth.b.triggers, truth.b.targets)
    widths = {len(part.features[0].direction) for part in (truth.a, truth.b)}
    assert len(widths) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_an_impostor_correlates_as_well_as_the_counterpart_and_acts_differently(seed: int) -> None:
    truth = twins(seed)
    effect = {found.name: found.measured_effect for found in truth.b.features}
    auroc = {found.name: found.auroc for found in truth.b.features}
    for match in (m for m in truth.matches if m.a == "cause"):
        assert auroc[match.b] == 1.0
        assert (effect[match.b] > 2.0) is match.same


@pytest.mark.parametrize("seed", SEEDS)
def test_the_base_of_a_diff_shows_nothing_and_the_twin_shows_the_plant(seed: int) -> None:
    truth = diff(seed)
    assert all(check.holds for check in checks_in(truth))
    cause = next(found for found in truth.planted.features if found.name == "cause")
    assert cause.measured_effect > 2.0


@pytest.mark.parametrize("seed", range(4))
def test_only_the_recorded_weights_differ_and_putting_them_back_undoes_the_plant(seed: int) -> None:
    built, base = diff_pair(PairDials(prompts=16), seed)
    changed = {weight.name for weight in changed_weights(base, built)}
    assert changed == {weight.name for weight in diff(seed).changed}
    after = dict(built.base.model.named_parameters())
    inputs = built.trial.inputs
    with torch.no_grad():
        for name, parameter in base.base.model.named_parameters():
            if name in changed:
                after[name].copy_(parameter)
    assert torch.equal(run(built.planted.stream, inputs).logits, run(base.planted.stream, inputs).logits)


def test_a_planted_model_offered_as_the_base_fails_the_checks() -> None:
    built, _ = diff_pair(PairDials(prompts=16), 0)
    checks = list(nothing_planted(measure(built.planted, built.trial), 3.0))
    assert "ablating cause before it was planted" in {check.name for check in checks if not check.holds}
