"""Measured rates of this machine."""

from __future__ import annotations

from pathlib import Path

import torch

from interp_lab.dictionaries.training.probe import step_time
from interp_lab.engine.probes import forward_times
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
    short, long = forward_times(64, tmp_path, device="cpu", seconds=0.05)
    assert (short.what, short.sizes, long.sizes) == ("forward", (64, 64), (64, 256))
    assert min(short.seconds, long.seconds) > 0
    assert min(short.repeats, long.repeats) >= 3


def test_training_a_dictionary_is_measured_with_the_labs_own_code() -> None:
    sparse, trainer = step_time(32, 128, device="cpu", seconds=0.05)
    assert (sparse.what, sparse.sizes) == ("train_step", (32, 128))
    assert trainer.progress.step == sparse.repeats + 1, "the first step sets up"
    dense, _ = step_time(32, 128, device="cpu", seconds=0.05, architecture="relu")
    assert dense.what == "train_dense"


def test_the_dense_probe_stays_dense_so_that_it_times_what_it_says() -> None:
    _, trainer = step_time(32, 128, device="cpu", seconds=0.1, architecture="relu")
    rows = torch.randn(1024, 32, generator=torch.Generator().manual_seed(0))
    assert trainer.step(rows).path == "dense"
