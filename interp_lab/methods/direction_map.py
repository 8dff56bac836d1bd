"""A linear map from one model's residual stream to another's, and what a direction becomes on the other side.

Source: stitching by a linear layer, Lenc and Vedaldi (2015, Understanding image representations by measuring their
equivariance and equivalence); ridge regression, Hoerl and Kennard (1970).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Floats

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties tried, as shares of the mean variance."""


class LinearMap(NamedTuple):
    """Coefficients and how well they hold on rows that did not fit them."""

    matrix: Floats
    """`(d_left, d_right)`."""
    held_out_r2: float
    """Share of the variance of held-out rows around the fitted mean that is explained; may be negative."""

    def carried(self, direction: NDArray[np.generic]) -> Floats:
        """Return what a left direction `(d_left,)` becomes `(d_right,)`."""
        return np.asarray(direction, dtype=np.float64) @ self.matrix


def fit_map(
    left: NDArray[np.generic],
    right: NDArray[np.generic],
    *,
    fit: NDArray[np.intp],
    tune: NDArray[np.intp],
    test: NDArray[np.intp],
) -> LinearMap:
    """Return the ridge map from `left` `(n, d_left)` to `right` `(n, d_right)`.

    `fit` rows fit it, `tune` rows choose the penalty, `test` rows say how well it holds.
    """
    x, y = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    candidates = [_ridge(x[fit], y[fit], strength) for strength in _STRENGTHS]
    scores = [_r2(x, y, matrix, fit=fit, on=tune) for matrix in candidates]
    best = candidates[int(np.argmax(scores))]
    return LinearMap(best, _r2(x, y, best, fit=fit, on=test))


def cosine(a: Floats, b: NDArray[np.generic]) -> float:
    """Return the cosine between two directions; 0 where one has no length."""
    other = np.asarray(b, dtype=np.float64)
    size = float(np.linalg.norm(a) * np.linalg.norm(other))
    return float(a @ other) / size if size > 0 else 0.0


def _ridge(x: Floats, y: Floats, strength: float) -> Floats:
    centred, wanted = x - x.mean(0), y - y.mean(0)
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += strength * max(float(np.trace(gram)) / len(gram), 1e-12)
    return np.asarray(np.linalg.solve(gram, centred.T @ wanted), dtype=np.float64)


def _r2(x: Floats, y: Floats, matrix: Floats, *, fit: NDArray[np.intp], on: NDArray[np.intp]) -> float:
    wanted = y[on] - y[fit].mean(0)
    left = wanted - (x[on] - x[fit].mean(0)) @ matrix
    total = float((wanted**2).sum())
    return 1.0 - float((left**2).sum()) / total if total > 0 else 0.0
