"""Wilson's score interval for a proportion, also with a fractional number of effective observations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.distributions import normal_quantile


def wilson_interval(
    proportion: ArrayLike, n_effective: ArrayLike, *, level: float = 0.95, critical: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return `(low, high)` within [0, 1]; `critical` replaces the normal quantile of `level`, for example by Student's.

    Source: Wilson (1927); effective sample size as in Korn and Graubard (1998).
    """
    p = np.asarray(proportion, dtype=np.float64)
    n = np.asarray(n_effective, dtype=np.float64)
    c = np.asarray(normal_quantile(0.5 + level / 2) if critical is None else critical, dtype=np.float64)
    shrink = 1 + c**2 / n
    middle = (p + c**2 / (2 * n)) / shrink
    half = c / shrink * np.sqrt(p * (1 - p) / n + c**2 / (4 * n**2))
    # Rounding must not push a bound past the proportion itself.
    return np.clip(middle - half, 0.0, p), np.clip(middle + half, p, 1.0)
