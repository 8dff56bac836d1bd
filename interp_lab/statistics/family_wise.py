"""Correction for having looked at several places where one false call is already too many."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import NonFiniteInput
from interp_lab.statistics.arrays import Floats


def holm(p: ArrayLike) -> Floats:
    """Return adjusted p-values `(n,)`: called at a level, the chance of even one false call stays below that level.

    Raises:
        NonFiniteInput: a p-value is not a number in [0, 1].

    Source: Holm (1979); valid under any dependence.
    """
    flat = np.asarray(p, dtype=np.float64)
    bad = np.flatnonzero(~((flat >= 0) & (flat <= 1)))
    if bad.size:
        raise NonFiniteInput(f"The p-value at index {bad[0]} is {flat[bad[0]]}, not a number in [0, 1].")
    order = np.argsort(flat, kind="stable")
    stepped = flat[order] * np.arange(flat.size, 0, -1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted
