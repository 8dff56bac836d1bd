"""Correction for having looked at many columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import NonFiniteInput
from interp_lab.statistics.arrays import Floats

LEVEL = 0.05
"""The rate up to which `false_discovery` keeps what it states."""
_ROUNDING = 1e-9
"""A smallest p is a rounded product; a test whose p is that very number must count among those that can reach it."""


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


def false_discovery(p: ArrayLike, least: ArrayLike) -> Floats:
    """Return q-values `(n,)` of tests of which some could not come below `least` `(n,)`, whatever the labels are.

    A latent that fires in three groups has no p below that of exactly these three; counting it against a p that it
    cannot reach corrects for a chance that it does not have. So p counts times the tests that could come as low, over
    0.95; where that is no gain at the level over n, the procedure is that of Benjamini and Hochberg. The choice between
    them looks at `least` alone. Never below p, so that nothing with p above the level is called.

    Raises:
        NonFiniteInput: as `benjamini_hochberg`.

    Source: step-up procedure with the null distributions of discrete tests, Doehler, Durand and Roquain (2018), each
    bounded by p itself from `least` on; valid under independence for levels up to 0.05.
    """
    flat, floors = np.asarray(p, dtype=np.float64), np.sort(np.asarray(least, dtype=np.float64))
    plain = benjamini_hochberg(flat)
    n_low = np.searchsorted(floors, LEVEL / max(1, flat.size), side="right")
    if n_low >= (1 - LEVEL) * flat.size:
        return plain
    order = np.argsort(flat, kind="stable")
    reach = np.searchsorted(floors, flat[order] * (1 + _ROUNDING), side="right") / (1 - LEVEL)
    scaled = flat[order] * reach / np.arange(1, flat.size + 1)
    q = np.empty_like(flat)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return np.maximum(q, flat)


def fewest_together(least: ArrayLike) -> int | None:
    """Return how many tests must reach the smallest p that labels allow before `false_discovery` calls any at 0.05.

    1 where a single one can be called; None where no labels whatever could have any called.
    """
    floors = np.sort(np.asarray(least, dtype=np.float64))
    if np.searchsorted(floors, LEVEL / max(1, floors.size), side="right") >= (1 - LEVEL) * floors.size:
        return 1
    reach = np.searchsorted(floors, floors * (1 + _ROUNDING), side="right")
    needed = np.ceil(floors * reach / ((1 - LEVEL) * LEVEL) - _ROUNDING)
    possible = needed[(needed <= reach) & (floors <= LEVEL)]
    return max(1, int(possible.min())) if possible.size else None
