"""Which share of what tells two prompts apart a patch brings over, for every place over many pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats

_TELLS = 1e-6
"""Mean difference of the behaviour from which pairs tell anything."""


def patch_shares(changes: ArrayLike, apart: ArrayLike) -> Floats:
    """Return the mean change over the mean difference of the pairs that have a place, `(n_ways, n_places)`.

    `changes` `(n_ways, n_pairs, n_places)` is nan where a pair lacks the place; `apart` `(n_pairs,)` is what the two
    prompts of a pair differ by. A place that is only in pairs which tell nothing, or the other way round, has 0.
    """
    moved = np.asarray(changes, dtype=np.float64)
    has = ~np.isnan(moved)
    whole = (has * np.asarray(apart, dtype=np.float64)[:, None]).sum(axis=1)
    tells = whole > _TELLS * np.maximum(has.sum(axis=1), 1)
    return np.divide(np.where(has, moved, 0.0).sum(axis=1), whole, out=np.zeros_like(whole), where=tells)
