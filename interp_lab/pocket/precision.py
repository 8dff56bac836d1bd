"""Whether half-precision products are worth taking on this machine."""
# pyright: standard

from __future__ import annotations

import time
from functools import cache

import torch

_SIZE = 256
_REPEATS = 20


@cache
def bfloat16_pays(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 ones here, so that a training run should compute in them."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    operand = torch.ones(_SIZE, _SIZE)
    return _fastest(operand.bfloat16()) < _fastest(operand)


def _fastest(operand: torch.Tensor) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        torch.mm(operand, operand)
        best = min(best, time.perf_counter() - start)
    return best
