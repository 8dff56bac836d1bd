"""Measured rates of this machine."""

from __future__ import annotations

from pathlib import Path

import torch

from interp_lab.dictionaries.training.probe import training_rate
from interp_lab.engine.probes import forward_rate
from interp_lab.engine.rates import accelerators, measured_rates


def test_every_rate_of_the_processor_is_measured_more_than_once() -> None:
    rates = {rate.what: rate for rate in measured_rates("cpu", 0.2)}
    assert {"matmul_fp32", "matmul_bf16", "copy"} <= rates.keys()
    assert all(rate.repeats >= 3 and rate.value > 0 for rate in rates.values())
    assert rates["copy"].unit == "GB/s"


def test_devices_are_those_that_torch_can_use() -> None:
    found = list(accelerators())
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert sum(device.kind in {"cuda", "rocm"} for device in found) == cuda


def test_reading_a_model_is_measured_with_the_labs_own_code(tmp_path: Path) -> None:
    rate = forward_rate(64, tmp_path, device="cpu", seconds=0.05)
    assert (rate.what, rate.size, rate.unit) == ("forward", 64, "GFLOP/s")
    assert rate.value > 0
    assert rate.repeats >= 3


def test_training_a_dictionary_is_measured_with_the_labs_own_code() -> None:
    rate = training_rate(32, 128, device="cpu", seconds=0.05)
    assert (rate.what, rate.size) == ("train_sae", 32 * 128)
    assert rate.value > 0
    assert rate.repeats >= 3
