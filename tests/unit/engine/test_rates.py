"""Measured rates of this machine."""

from __future__ import annotations

import torch

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
