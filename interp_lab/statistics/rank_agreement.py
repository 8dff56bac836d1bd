"""Whether two rankings of the same things agree."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import checked_vector
from interp_lab.statistics.ranks import midranks


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation of two vectors, ties averaged; 0 if one of them is constant.

    Raises:
        ShapeMismatch: fewer than two values, or different lengths.
    """
    flat = np.asarray(a, dtype=np.float64)
    if flat.size < 2:
        raise ShapeMismatch(f"A rank correlation of {flat.size} values means nothing.")
    x = midranks(checked_vector(flat, flat.size, "value"))
    y = midranks(checked_vector(b, flat.size, "value"))
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / spread if spread > 0 else 0.0


def top_overlap(a: ArrayLike, b: ArrayLike, k: int) -> float:
    """Return the share of the k largest of `a` that are among the k largest of `b`, in [0, 1]."""
    top = [np.argsort(-np.asarray(v, dtype=np.float64), kind="stable")[:k] for v in (a, b)]
    return len(set(top[0].tolist()) & set(top[1].tolist())) / max(1, len(top[0]))
