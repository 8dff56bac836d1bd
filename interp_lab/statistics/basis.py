"""Covariates as a small set of smooth columns, so that what is controlled for need not be linear."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_matrix
from interp_lab.statistics.ranks import midranks

_GROUPS_PER_COLUMN = 10
_MOST_KNOTS = 4


def smooth_basis(covariates: ArrayLike, n_groups: int) -> Floats:
    """Return centred columns `(n_rows, n_basis)`: each covariate's fractional rank and hinges at equally spaced knots.

    A covariate gets up to four hinges as long as there are ten groups per column; constant covariates vanish.

    Source: linear regression splines on ranks, Harrell (2015, §2.4); about ten units per column from the same, §4.4.
    """
    raw = np.asarray(covariates)
    matrix = checked_matrix(raw, raw.shape[0])
    varying = [matrix[:, j] for j in range(matrix.shape[1]) if np.ptp(matrix[:, j]) > 0]
    if not varying:
        return np.zeros((matrix.shape[0], 0))
    n_knots = int(np.clip(n_groups // (_GROUPS_PER_COLUMN * len(varying)) - 1, 0, _MOST_KNOTS))
    columns = np.concatenate([_hinges(np.asarray(c, dtype=np.float64), n_knots) for c in varying], axis=1)
    return columns - columns.mean(axis=0)


def _hinges(covariate: Floats, n_knots: int) -> Floats:
    rank = (midranks(covariate) - 0.5) / covariate.size
    knots = np.arange(1, n_knots + 1) / (n_knots + 1)
    return np.concatenate([rank[:, None], np.maximum(rank[:, None] - knots, 0.0)], axis=1)
