"""The shape of a model that may exist only on paper."""

from __future__ import annotations

from typing import NamedTuple

from interp_lab.contracts.plan_scale import KnownAs

ASPECT = 128
"""d_model per layer. GPT-3 175B has 128 (Brown et al. 2020, table 2.1), Llama 2 70B 102 (Touvron et al. 2023)."""
_PER_BLOCK = 12
"""Parameters of a block in units of d_model²: 4 of attention, 8 of the MLP (Kaplan et al. 2020, table 1)."""


class Shape(NamedTuple):
    """Sizes that decide cost."""

    parameters: int
    active: int
    """Parameters that one token passes; equal to `parameters` without experts."""
    n_layers: int
    d_model: int
    d_kv: int
    """Width of keys, and of values, per layer."""
    known: KnownAs
    """How the layers and the width are known."""
    head: int = 0
    """Multiply-adds from the last block to the vocabulary; 0 where it is not known."""


def assumed_shape(
    parameters: int, active: int | None = None, *, n_layers: int | None = None, d_model: int | None = None
) -> Shape:
    """Return the usual shape of a model of that size; layers and width that are given are kept.

    With P = 12 · L · d² and d = 128 · L, L = (P / (12 · 128²))^(1/3). Experts widen the MLP: active parameters
    decide.
    """
    passed = active or parameters
    known: KnownAs = "given" if n_layers and d_model else "assumed"
    if n_layers is None and d_model is None:
        n_layers = max(1, round((passed / (_PER_BLOCK * ASPECT**2)) ** (1 / 3)))
    if n_layers is None:
        assert d_model is not None
        n_layers = max(1, round(passed / (_PER_BLOCK * d_model**2)))
    if d_model is None:
        d_model = max(64, round((passed / (_PER_BLOCK * n_layers)) ** 0.5 / 64) * 64)
    return Shape(parameters, passed, n_layers, d_model, d_model, known)
