# pyright: standard
"""Faster matrix products on CPUs where they stay float32: probed, scoped and on record.

On CPUs without bfloat16 units the oneDNN path computes true float32 about twice as fast as the default one.
Where the same switch would round, the probe sees it and leaves everything as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from interp_lab.artifacts.durable import write_durably
from interp_lab.engine.pass_sizes import WIDE

MAX_RELATIVE_ERROR = 2e-6
_SIZE = 256
_REPEATS = 5

Mode = Literal["default", "onednn"]

_RECORD = "matmul.txt"
_DECIDED: ContextVar[Mode | None] = ContextVar("decided_matmul", default=None)


class MatmulPrecision(NamedTuple):
    """What was chosen on this machine and why; part of the record of a run."""

    mode: Mode
    relative_error: float
    """Of the oneDNN path, against float64, largest error over largest entry."""
    speedup: float
    """Time of the default path over time of the oneDNN path."""


@cache
def probe_matmul() -> MatmulPrecision:
    """Return which path to use on this machine, measured once per process: the faster one if it is exact enough."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIZE, _SIZE, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    usual = _seconds(left, right)
    with _precision("bf16"):
        error = float(((left @ right).double() - exact).abs().max() / exact.abs().max())
        speedup = usual / _seconds(left, right)
    return MatmulPrecision("onednn" if error < MAX_RELATIVE_ERROR and speedup > 1 else "default", error, speedup)


@contextmanager
def decided_matmul(folder: Path) -> Iterator[Mode]:
    """Keep to one path inside the block: the one on record in that folder, else the probe's, which is put on record.

    The probe times, and a busy machine may change its mind; work that goes on after an interruption must not.
    """
    record = folder / _RECORD
    if not record.exists():
        write_durably(record, probe_matmul().mode.encode())
    mode: Mode = "onednn" if record.read_bytes() == b"onednn" else "default"
    token = _DECIDED.set(mode)
    try:
        yield mode
    finally:
        _DECIDED.reset(token)


@contextmanager
def matmul_precision() -> Iterator[MatmulPrecision]:
    """Use the path that was decided, else the one that `probe_matmul` chose, for the whole process, on the CPU only."""
    chosen = probe_matmul()
    chosen = chosen._replace(mode=_DECIDED.get() or chosen.mode)
    if chosen.mode == "default":
        yield chosen
        return
    with _precision("bf16"):
        yield chosen


@contextmanager
def matmul_of_runs(width: int) -> Iterator[None]:
    """Use the path that suits passes of many shapes through a model so wide, on the CPU only.

    oneDNN makes a kernel for every shape of a product and keeps up to 1,024 of them, each of about 0.6 MiB and a
    millisecond. Products of a narrow model are too small to pay for theirs, so these take the usual path.
    """
    with matmul_precision() if width >= WIDE else _precision("ieee"):
        yield


@contextmanager
def use_matmul(mode: Mode) -> Iterator[None]:
    """Use a path that was chosen before, so that work that goes on after an interruption computes as it began."""
    if mode == "default":
        yield
        return
    with _precision("bf16"):
        yield


@contextmanager
def _precision(name: Literal["ieee", "bf16"]) -> Iterator[None]:
    """Let products be what torch calls so: on a CPU without bfloat16 units 'bf16' is float32 by oneDNN."""
    settings = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]
    before = settings.fp32_precision
    settings.fp32_precision = name
    try:
        yield
    finally:
        settings.fp32_precision = before


def _seconds(left: Tensor, right: Tensor) -> float:
    """The best of a few products: the first pays for setting up, others for what else the machine does."""
    times: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)
