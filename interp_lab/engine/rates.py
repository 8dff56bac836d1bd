# pyright: standard
"""How fast this machine multiplies matrices and moves memory, measured; and the devices that torch can use."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Literal

import torch

from interp_lab.contracts.machine import Accelerator, MeasuredRate
from interp_lab.engine.precision import probe_matmul, use_matmul

SIZE = 1024
"""Rows and columns of the matrices on a CPU."""
DEVICE_SIZE = 8192
"""The same on an accelerator."""
COPY_BYTES = 128 * 2**20
"""Larger than the caches of most processors."""
_LEAST_REPEATS = 3

What = Literal["matmul_fp32", "matmul_fp32_onednn", "matmul_bf16", "copy"]


def accelerators() -> Iterator[Accelerator]:
    """Yield the devices that torch can use."""
    if torch.cuda.is_available():
        kind = "rocm" if torch.version.hip else "cuda"
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            yield Accelerator(
                kind=kind,
                name=torch.cuda.get_device_name(index),
                memory=total,
                free=free,
                compute_capability=".".join(map(str, torch.cuda.get_device_capability(index))),
                bfloat16=torch.cuda.is_bf16_supported(),
            )
    if torch.backends.mps.is_available():
        limit = torch.mps.recommended_max_memory()
        free = max(0, limit - torch.mps.driver_allocated_memory())
        yield Accelerator(kind="mps", name="Apple GPU", memory=limit, free=free, bfloat16=True)


def measured_rates(device: str, seconds: float) -> Iterator[MeasuredRate]:
    """Yield every rate of that device; together they take about that long."""
    size = SIZE if device == "cpu" else DEVICE_SIZE
    onednn = device == "cpu" and probe_matmul().mode == "onednn"
    share = seconds / (4 if onednn else 3)
    yield _matmul("matmul_fp32", device, size, share)
    if onednn:
        with use_matmul("onednn"):
            yield _matmul("matmul_fp32_onednn", device, size, share)
    yield _matmul("matmul_bf16", device, size, share)
    yield _copy(device, share)


def _matmul(what: What, device: str, size: int, seconds: float) -> MeasuredRate:
    dtype = torch.bfloat16 if what == "matmul_bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty(size, size, device=device, dtype=dtype)
    times = _times(lambda: torch.mm(left, right, out=out), device, seconds)
    return _rate(what, device, 2 * size**3 / 1e9, times)


def _copy(device: str, seconds: float) -> MeasuredRate:
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    times = _times(lambda: target.copy_(source), device, seconds)
    return _rate("copy", device, 2 * COPY_BYTES / 1e9, times)


def _rate(what: What, device: str, billions: float, times: list[float]) -> MeasuredRate:
    return MeasuredRate(
        what=what,
        device=device,
        value=billions / statistics.median(times),
        unit="GB/s" if what == "copy" else "GFLOP/s",
        repeats=len(times),
        spread=max(times) / min(times) - 1,
    )


def _times(work: Callable[[], object], device: str, seconds: float) -> list[float]:
    """Seconds of each repeat; the first, which pays for setting up, is left out."""
    work()
    _wait(device)
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < _LEAST_REPEATS or time.perf_counter() < deadline:
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(max(time.perf_counter() - start, 1e-9))
    return times


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
