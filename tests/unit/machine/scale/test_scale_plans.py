"""Plans of large runs: sizes as people write them, formulas redone by hand, routes that say what decides."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.machine import (
    Disk,
    MachineProfile,
    MeasuredRate,
    Memory,
    Processor,
    WorkTime,
)
from interp_lab.contracts.plan_scale import PlanScaleRequest, RoutePlan
from interp_lab.contracts.sizes import bytes_in_words, in_words, parse_bytes, parse_count, time_in_words
from interp_lab.machine.scale.costs import Edits, layers_read, quantities
from interp_lab.machine.scale.routes import places, planned_route
from interp_lab.machine.scale.shape import Shape, assumed_shape
from tests.unit.machine.scale.probed import probed

SMALL = Shape(1_000_000, 800_000, 4, 64, 64, "given")
EDITS = Edits(110.0, 1e8, 2.0, 0.1, 1.3e9)


def rate(what: str, value: float) -> MeasuredRate:
    return MeasuredRate.model_validate(
        {"what": what, "device": "cpu", "value": value, "unit": "GFLOP/s", "repeats": 3, "spread": 0.1}
    )


def profile(
    *rates: MeasuredRate, work: tuple[WorkTime, ...] = (), memory: int = 2**34, disk: int = 2**40
) -> MachineProfile:
    return MachineProfile.model_validate(
        {
            "measured_at": "2026-01-01T00:00:00Z",
            "host": "h",
            "system": "s",
            "processor": Processor(name="cpu", cores=2, usable=2, limited_by="machine", features=()),
            "memory": Memory(total=memory, available=memory, limited_by="machine"),
            "disk": Disk(file_system="ext4", free=disk, write_mb_per_s=100, read_mb_per_s=1000),
            "accelerators": (),
            "rates": rates,
            "work": work,
            "libraries": {},
            "credentials": (),
            "engines": (),
            "routes": (),
        }
    )


def route(request: PlanScaleRequest, shape: Shape, machine: MachineProfile | None) -> RoutePlan:
    costs, _ = quantities(request, shape, EDITS)
    return planned_route(request, next(iter(places(request, machine, costs))), costs)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("70B", 70 * 10**9), ("1T", 10**12), ("1B tokens", 10**9), ("1.5M", 1_500_000), ("0.1b", 10**8),
        ("12,000", 12_000), ("100 tokens", 100), ("3 trillion", 3 * 10**12), ("250k params", 250_000),
        ("7 billion parameters", 7 * 10**9),
        ("1e9", 10**9), ("2.5e+9 tokens", 25 * 10**8),
    ],
)  # fmt: skip
def test_counts_mean_what_people_mean(text: str, number: int) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("64GB", 64 * 10**9),
        ("80GiB", 80 * 2**30),
        ("500 MB", 5 * 10**8),
        ("2 TB", 2 * 10**12),
        ("12", 12),
        ("7 B", 7),
        ("6.4e10", 64 * 10**9),
    ],
)
def test_sizes_mean_what_people_mean(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "many", "70Q", "-3", "1B tonnes", "1e", "1e-9", "e9", "1e400", "NaN", "1.2.3"])
def test_what_is_no_count_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="no count"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "lots", "64 gallons", "1.2.3GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_bytes(text)


@given(st.integers(min_value=1, max_value=10**6), st.sampled_from(["", "k", "M", "B", "T"]))
def test_a_count_is_exact_however_large(value: int, letter: str) -> None:
    assert parse_count(f"{value}{letter}") == value * 1000 ** ["", "k", "M", "B", "T"].index(letter)


def test_numbers_are_told_as_people_read_them() -> None:
    assert in_words(70_600_000_000) == "70.6B"
    assert bytes_in_words(3 * 2**30) == "3 GiB"
    assert time_in_words(7200) == "2 h"
    assert time_in_words(5) == "5 s"


def test_the_usual_shape_of_a_size_has_about_that_many_parameters() -> None:
    for size in (10**8, 7 * 10**9, 7 * 10**10, 10**12):
        shape = assumed_shape(size)
        assert math.isclose(12 * shape.n_layers * shape.d_model**2, size, rel_tol=0.2)
        assert shape.known == "assumed"


def test_layers_and_width_that_are_given_are_kept() -> None:
    shape = assumed_shape(7 * 10**9, n_layers=32, d_model=4096)
    assert (shape.n_layers, shape.d_model, shape.known) == (32, 4096, "given")


def test_every_number_follows_from_its_formula() -> None:
    request = PlanScaleRequest(
        parameters=10**6, tokens=1000, context=8, n_addresses=2, n_latents=512, k=4, units=2, prompts=5
    )
    costs, rows = quantities(request, SMALL, EDITS)
    values = {(row.group, row.name): row.value for row in rows}
    assert values["model", "weights"] == 2 * SMALL.parameters
    assert (
        values["model", "forward_per_token"] == 2 * SMALL.active + 2 * 4 * 8 * 64
    )  # the last address is the last layer
    assert values["harvest", "activations"] == 1000 * 2 * 64 * 2
    assert values["harvest", "store"] == values["harvest", "activations"] + 1000 * 24
    parameters = 2 * 64 * 512 + 512 + 64
    assert values["dictionary", "training_memory"] == 2 * 16 * parameters  # one call trains both side by side
    assert values["dictionary", "training_arithmetic"] == 1000 * 2 * (2 * 64 * 512 + 8 * 4 * 64)
    assert values["interventions", "edited_runs"] == EDITS.n_runs
    assert values["interventions", "arithmetic"] == 2 * EDITS.macs
    assert costs.training_bytes == values["dictionary", "training_memory"]
    assert all(row.formula for row in rows)


def test_one_address_is_in_the_middle_and_many_are_spread() -> None:
    assert layers_read(1, 12) == (6,)
    assert layers_read(3, 12) == (2, 6, 10)
    assert layers_read(50, 4) == (0, 1, 2, 3)


def test_short_runs_of_the_lab_itself_count_before_a_matrix_product() -> None:
    request = PlanScaleRequest(parameters=10**6, tokens=10**6)
    measured = route(request, SMALL, profile(rate("matmul_fp32", 100), work=probed()))
    unmeasured = route(request, SMALL, profile(rate("matmul_fp32", 100)))
    assert "profile_env" in measured.stages[0].basis
    assert "0.3" in unmeasured.stages[0].basis
    flops = quantities(request, SMALL, EDITS)[0].harvest_flops
    written = quantities(request, SMALL, EDITS)[0].kept_bytes / 100e6
    assert unmeasured.stages[0].seconds == pytest.approx(flops / (0.3 * 100e9) + written)


def test_weights_that_come_over_a_network_are_waited_for_once_whatever_was_measured() -> None:
    near = PlanScaleRequest(parameters=10**6, tokens=10**4)
    far = near.model_copy(update={"network": 1000})
    for machine in (profile(work=probed()), profile(rate("matmul_fp32", 100))):
        slow, quick = route(far, SMALL, machine).stages, route(near, SMALL, machine).stages
        assert slow[0].seconds - quick[0].seconds == pytest.approx(2 * SMALL.parameters / 1000)
        assert slow[0].bound_by == "network"
        assert slow[1:] == quick[1:]


def test_a_store_that_is_larger_than_the_disk_does_not_fit_and_says_what_would() -> None:
    request = PlanScaleRequest(parameters=10**6, tokens="1B tokens")
    found = route(request, SMALL, profile(rate("matmul_fp32", 100), disk=10**9))
    assert not found.fits
    assert found.bottleneck.startswith("disk")
    assert any("streamed" in change for change in found.change)
    streamed = PlanScaleRequest(parameters=10**6, tokens="1B tokens", storage="streamed")
    assert route(streamed, SMALL, profile(rate("matmul_fp32", 100), disk=10**9)).fits


def test_a_model_that_is_larger_than_the_memory_does_not_fit_and_says_over_how_many_devices_it_would() -> None:
    request = PlanScaleRequest(parameters="1T", tokens="1M", device="h100-sxm", n_devices=64, storage="streamed")
    shape = assumed_shape(10**12)
    found = route(request, shape, None)
    assert not found.fits
    assert found.bottleneck.startswith("memory")
    assert any("at least 42 such devices" in change for change in found.change)
    assert any("one device" in risk for risk in found.risks)


def test_dictionaries_that_do_not_fit_together_are_said_to_fit_in_smaller_calls() -> None:
    one = 16 * (2 * 64 * 10**6 + 10**6 + 64)
    request = PlanScaleRequest(parameters=10**6, tokens=1000, n_addresses=4, n_latents=10**6)
    found = route(request, SMALL, profile(rate("matmul_fp32", 100), memory=int(2.9 * one + 20.7e9)))
    assert not found.fits
    assert found.bottleneck.startswith("memory: dictionary")
    assert "2 of the 4 dictionaries in one call of train_sae" in found.change
    alone = request.model_copy(update={"n_addresses": 2})
    assert route(alone, SMALL, profile(rate("matmul_fp32", 100), memory=int(2.9 * one + 20.7e9))).fits


def test_more_devices_are_faster_and_cost_the_same() -> None:
    def of(n: int) -> RoutePlan:
        request = PlanScaleRequest(
            parameters="7B", tokens="1B", device="h100-sxm", n_devices=n, price_per_hour=2.0, watts=700, n_latents=10**4
        )
        return route(request, assumed_shape(7 * 10**9), None)

    one, eight = of(1), of(8)
    assert one.fits
    assert one.seconds is not None
    assert len(eight.stages) == 3
    for alone, shared in zip(one.stages, eight.stages, strict=True):
        moved = 0.0
        if alone.stage == "train":  # every rank moves all weights, gradients and moments
            width = assumed_shape(7 * 10**9).d_model
            moved = -(-(10**9) // 1024) * 32 * (2 * width * 10**4 + 10**4 + width) / 3.35e12
        assert shared.seconds == pytest.approx((alone.seconds - moved) / 8 + moved, rel=1e-3)
    assert eight.money == pytest.approx(8 * 2.0 * eight.seconds / 3600)
    assert one.money == pytest.approx(2.0 * one.seconds / 3600)
    assert one.energy_kwh == pytest.approx(0.7 * one.seconds / 3600)
    assert one.n_shards == math.ceil(one.stages[0].seconds / (4 * 3600))


def test_the_range_of_a_time_holds_the_time() -> None:
    request = PlanScaleRequest(parameters="7B", tokens="1B", device="a100-80gb")
    for stage in route(request, assumed_shape(7 * 10**9), None).stages:
        assert stage.low < stage.seconds < stage.high


def test_a_training_from_a_stream_is_not_spread_over_devices() -> None:
    asked = {"parameters": "7B", "tokens": "1B", "device": "h100-sxm", "n_latents": 10**4, "storage": "streamed"}
    one, eight = (
        route(PlanScaleRequest.model_validate({**asked, "n_devices": n}), assumed_shape(7 * 10**9), None)
        for n in (1, 8)
    )
    assert one.stages[1].seconds == eight.stages[1].seconds
    assert one.stages[0].seconds == pytest.approx(8 * eight.stages[0].seconds)


def test_a_narrower_format_that_does_not_help_is_not_offered_as_if_it_did() -> None:
    fits = PlanScaleRequest(parameters="100B", tokens="1M", device="h200", n_latents=1000)
    assert "model_dtype 'int8': 93.1 GiB of weights" in route(fits, assumed_shape(10**11), None).change
    never = PlanScaleRequest(parameters="1T", tokens="1M", device="h200", n_latents=1000)
    (offer,) = [each for each in route(never, assumed_shape(10**12), None).change if "int8" in each]
    assert "still more than 131 GiB" in offer


def test_more_shards_than_a_harvest_takes_are_named_as_a_risk() -> None:
    request = PlanScaleRequest(parameters="1T", tokens="1T", device="l4")
    assert any("10,000 shards" in risk for risk in route(request, assumed_shape(10**12), None).risks)


def test_checkpoints_that_fill_the_disk_do_not_fit_though_the_store_would() -> None:
    request = PlanScaleRequest(parameters=10**6, tokens=1000, n_latents=10**6)
    one = 40 * (2 * 64 * 10**6 + 10**6 + 64)
    machine = profile(rate("matmul_fp32", 100), memory=10**12)
    enough = request.model_copy(update={"disk": one + 10**7})
    assert route(enough, SMALL, machine).fits
    found = route(request.model_copy(update={"disk": one - 1}), SMALL, machine)
    assert not found.fits
    assert found.bottleneck.startswith("disk: checkpoints of the training take 4.81 GiB")
    assert any("n_latents" in change for change in found.change)
