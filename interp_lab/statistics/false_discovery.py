"""Correction for having looked at many columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import NonFiniteInput
from interp_lab.statistics.arrays import Floats


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return q-values `(n,)`: the smallest false discovery rate at which each test would be called.

    Give it the p-values of every column tested, never only of those shown.

    Raises:
        NonFiniteInput: a p-value is not a number in [0, 1].

    Source: Benjamini and Hochberg (1995); valid under independence and positive dependence (2001).
    """
    flat = np.asarray(p, dtype=np.float64)
    bad = np.flatnonzero(~((flat >= 0) & (flat <= 1)))
    if bad.size:
        raise NonFiniteInput(f"The p-value at index {bad[0]} is {flat[bad[0]]}, not a number in [0, 1].")
    order = np.argsort(flat, kind="stable")
    scaled = flat[order] * flat.size / np.arange(1, flat.size + 1)
    q = np.empty_like(flat)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
