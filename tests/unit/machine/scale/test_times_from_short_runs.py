"""Times of stages where the lab's own work was measured: every part redone by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.machine import WorkName
from interp_lab.contracts.plan_scale import PlanScaleRequest, StageTime
from interp_lab.machine.scale.costs import Edits, quantities
from interp_lab.machine.scale.labtimes import LabTimes
from interp_lab.machine.scale.own_times import (
    NOTHING_LEARNED,
    Earlier,
    Learned,
    Machine,
    held_out_tokens,
    n_figures,
    own_times,
)
from interp_lab.machine.scale.shape import Shape
from tests.unit.machine.scale.probed import ATTENDED_SECONDS, BLOCK_SECONDS, probed, surface, work

SMALL = Shape(3_000_000, 2_400_000, 4, 256, 256, "given")
EDITS = Edits(1000.0, 1e9, 4.0, 2.0, 1.3e9)
TIMES = LabTimes(probed())


def stages(learned: Learned = NOTHING_LEARNED, **asked: object) -> dict[str, StageTime]:
    request = PlanScaleRequest.model_validate({"parameters": 3 * 10**6, "n_latents": 2048, **asked})
    costs, _ = quantities(request, SMALL, EDITS)
    return {stage.stage: stage for stage in own_times(request, costs, Machine(TIMES, 1e9, learned))}


def test_a_profile_that_lacks_a_piece_or_measured_elsewhere_gives_no_times() -> None:
    assert LabTimes.of(probed(), "cpu") is not None
    assert LabTimes.of(probed(), "cuda:0") is None
    assert LabTimes.of([each for each in probed() if each.what != "train_run"], "cpu") is None


@pytest.mark.parametrize(
    ("what", "sizes"),
    [
        ("forward", ()),
        ("forward", (0, 64)),
        ("train_dense", (128,)),
        ("train_dense", (10**300, 1)),
        ("train_step", (256, 1024)),
        ("held_out", (1, 2, 3)),
    ],
)
def test_sizes_that_tell_nothing_of_others_give_no_times(what: WorkName, sizes: tuple[int, ...]) -> None:
    """A profile is a file that anybody can write."""
    assert LabTimes.of([*probed(), work(what, 1.0, *sizes)], "cpu") is None
    assert LabTimes.of([each for each in probed() if each.sizes != (512, 8192)], "cpu") is None


@pytest.mark.parametrize("width", [64, 128, 300, 512, 4096])
def test_weights_and_attention_are_told_apart_by_the_length_of_texts(width: int) -> None:
    assert TIMES.per_multiply_add(width) == pytest.approx(BLOCK_SECONDS)
    assert TIMES.per_attended(width) == pytest.approx(ATTENDED_SECONDS)


def test_long_texts_that_were_no_slower_give_no_negative_attention() -> None:
    quick = LabTimes((work("forward", 2e-5, 128, 64), work("forward", 1e-5, 128, 256)))
    assert quick.per_attended(128) == 0
    assert quick.per_multiply_add(128) > 0


@given(st.integers(8, 20_000), st.integers(64, 2**20))
def test_a_step_at_any_size_lies_on_the_surface_through_the_probes(d_in: int, n_latents: int) -> None:
    assert TIMES.step(d_in, n_latents) == pytest.approx(1e-3 + 1e-6 * d_in + 1e-6 * n_latents + 1e-8 * d_in * n_latents)


@given(
    st.lists(st.floats(1e-4, 1.0), min_size=4, max_size=4), st.integers(1, 30_000), st.integers(2, 2**20)
)  # a busy machine may give corners in any order
def test_no_corners_give_a_time_below_zero(corners: list[float], d_in: int, n_latents: int) -> None:
    found = surface("train_step", 0.1, 0.0, 0.0, 0.0)
    noisy = LabTimes(tuple(each.model_copy(update={"seconds": s}) for each, s in zip(found, corners, strict=True)))
    assert noisy.step(d_in, n_latents) >= min(corners) / 4


def test_what_active_latents_cause_grows_with_their_number() -> None:
    assert TIMES.step(256, 2048, k=64) - TIMES.step(256, 2048, k=32) == pytest.approx(1e-6 * 256)


def test_a_harvest_is_its_start_its_text_its_weights_and_its_attention() -> None:
    found = stages(tokens=10**6, context=100)["harvest"]
    depth = 3 / 4  # one address, in the middle of four layers
    weights = depth * SMALL.active * BLOCK_SECONDS
    attended = depth * 4 * 256 * 100 * ATTENDED_SECONDS
    written = 10**6 * (2 * 256 + 24 - (2 * 160 + 24)) / 1e9  # besides what the short run wrote
    assert found.seconds == pytest.approx(5.5 + 10**6 * (2e-5 + weights + attended) + written)
    assert found.bound_by == "arithmetic"
    assert (found.low, found.high) == (found.seconds / 1.3, found.seconds * 1.3)


def test_a_short_harvest_waits_for_its_start_and_says_so() -> None:
    assert stages(tokens=100)["harvest"].bound_by == "start"


def test_a_training_is_its_start_its_steps_its_figures_and_its_checkpoints() -> None:
    found = stages(tokens=200_000, train_tokens=102_400, n_addresses=2)["train"]
    steps = 100 * TIMES.step(256, 2048)
    figures = 11 * 16_384 * TIMES.held_out(256, 2048)  # ten on the way, one at the end, of the share of 200,000 tokens
    saved = 2 * 16 * (2 * 256 * 2048 + 2048 + 256) / 1e9
    assert found.seconds == pytest.approx(5.25 + 2 * (steps + figures) + saved)
    assert found.bound_by == "figures"


def test_a_penalty_that_begins_dense_is_timed_by_dense_steps() -> None:
    sparse, dense = (stages(tokens=10**6, architecture=name)["train"] for name in ("topk", "jumprelu"))
    assert dense.seconds - sparse.seconds == pytest.approx(
        977 * (TIMES.dense_step(256, 2048) - TIMES.step(256, 2048)), rel=1e-3
    ), "checkpoints apart"
    assert 1e-7 < TIMES.dense_step(256, 2048) / (256 * 2048) < 2e-7, "between the probes"


def test_interventions_are_as_much_slower_than_an_ordinary_core_as_the_short_run_was() -> None:
    assert stages()["interventions"].seconds == pytest.approx(5 + 0.5 * (4 + 2))
    assert "interventions" not in stages(units=0)


@pytest.mark.parametrize(("steps", "figures"), [(1, 2), (10, 11), (49, 14), (100, 11), (1000, 11)])
def test_figures_are_computed_as_often_as_a_training_does(steps: int, figures: int) -> None:
    """49 steps: at every fourth and at the last, and once more for the artifact; counted in a real run."""
    assert n_figures(steps) == figures


def test_figures_are_of_a_tenth_of_the_tokens_and_never_more_than_the_request_allows() -> None:
    assert held_out_tokens(50_000) == 5000
    assert held_out_tokens(10**9) == 16_384


def test_earlier_runs_count_before_short_ones_and_are_named() -> None:
    seen = Learned(Earlier(1e-3, "a harvest"), Earlier(0.1, "a training"), Earlier(3.0, "two runs"))
    before, after = (stages(each, tokens=10_240, n_latents=512) for each in (NOTHING_LEARNED, seen))
    assert after["harvest"].seconds == pytest.approx(5.5 + 10_240 * (1e-3 + 2e-5), rel=1e-3)
    steps = 10 * (0.1 - TIMES.step(256, 512))
    assert after["train"].seconds - before["train"].seconds == pytest.approx(steps)
    assert after["interventions"].seconds == pytest.approx(5 + 3 * (4 + 2))
    assert "as in two runs" in after["interventions"].basis
    assert "as in a training" in after["train"].basis
    assert "as in a harvest" in after["harvest"].basis


def test_a_slow_disk_is_waited_for_at_every_checkpoint_but_not_more_often_than_at_every_step() -> None:
    request = PlanScaleRequest.model_validate(
        {"parameters": "1T", "n_layers": 4, "d_model": 256, "n_latents": 10**9, "tokens": 2048}
    )
    costs, _ = quantities(request, SMALL, EDITS)
    slow, fast = (
        next(s for s in own_times(request, costs, Machine(TIMES, speed)) if s.stage == "train") for speed in (1e9, 1e12)
    )
    each = 16 * (2 * 256 * 10**9 + 10**9 + 256)
    assert slow.seconds - fast.seconds == pytest.approx(each * (1 + 2 * 0.75) * (1e-9 - 1e-12), rel=1e-6)
