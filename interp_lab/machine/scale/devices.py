"""Accelerators by their published figures, for plans about machines that are not here. Data only."""

from __future__ import annotations

from typing import Final, NamedTuple

from interp_lab.contracts.plan_scale import DeviceName


class Published(NamedTuple):
    """What a data sheet says."""

    memory: int
    """Bytes."""
    flops: float
    """Dense bfloat16 (float16 for the T4) matrix products, floating-point operations per second."""
    bandwidth: float
    """Bytes per second of its memory."""
    source: str


_T = 10**12
DEVICES: Final[dict[DeviceName, Published]] = {
    "h100-sxm": Published(80 * 10**9, 989 * _T, 3.35 * _T, "NVIDIA H100 data sheet, SXM, without sparsity"),
    "h200": Published(141 * 10**9, 989 * _T, 4.8 * _T, "NVIDIA H200 data sheet, SXM, without sparsity"),
    "b200": Published(180 * 10**9, 2250 * _T, 8.0 * _T, "NVIDIA DGX B200 data sheet, per GPU, without sparsity"),
    "a100-80gb": Published(80 * 10**9, 312 * _T, 2.04 * _T, "NVIDIA A100 data sheet, SXM 80 GB, without sparsity"),
    "l4": Published(24 * 10**9, 121 * _T, 0.3 * _T, "NVIDIA L4 data sheet, without sparsity"),
    "t4": Published(16 * 10**9, 65 * _T, 0.32 * _T, "NVIDIA T4 data sheet, float16"),
    "rtx-4090": Published(24 * 10**9, 165 * _T, 1.01 * _T, "NVIDIA Ada architecture paper, float32 accumulation"),
    "mi300x": Published(192 * 10**9, 1307 * _T, 5.3 * _T, "AMD Instinct MI300X data sheet, without sparsity"),
}

UTILISATION: Final = (0.21, 0.3, 0.46)
"""Low, planned and high share of the published speed that large models reached: GPT-3 0.21, Megatron-Turing NLG 0.30,
PaLM 0.46."""
UTILISATION_SOURCE: Final = "model FLOPs utilisation of published runs, Chowdhery et al. 2022 (PaLM), table 3"
