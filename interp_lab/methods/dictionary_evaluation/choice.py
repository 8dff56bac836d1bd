"""Which few latents tell positives from negatives, and random ones beside them. Probes are fitted elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


def mean_difference(values: NDArray[np.floating], positive: Bools) -> Floats:
    """Return the mean of every column over positives less that over negatives."""
    matrix = np.asarray(values, dtype=np.float64)
    return matrix[positive].mean(axis=0) - matrix[~positive].mean(axis=0)


def most_different(values: NDArray[np.floating], positive: Bools, k: int) -> Places:
    """Return the `k` columns with the largest absolute mean difference, largest first.

    Source: sparse probing of SAEBench (Karvonen et al. 2025); Gurnee et al. 2023 (arXiv 2305.01610).
    """
    return np.argsort(-np.abs(mean_difference(values, positive)), kind="stable")[:k]


def random_columns(values: NDArray[np.floating], k: int, *, draws: int, seed: int) -> list[Places]:
    """Return sets of `k` columns drawn from those that are not constant; fewer if there are not as many."""
    varying = np.flatnonzero(np.ptp(values, axis=0) > 0)
    rng = np.random.default_rng([seed, 0x5A11])
    return [rng.choice(varying, size=min(k, varying.size), replace=False) for _ in range(draws)]
