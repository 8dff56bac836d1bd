"""How activations of one model differ from those of another of the same basis: how far, and along how many directions.

Source: activation differences of fine-tuned models and their leading directions, Minder et al. (2025), "Narrow
finetuning leaves clearly readable traces in activation differences". We choose directions on some prompts and measure
what they explain on others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import Floats

_SHARE = 0.9


class Shift(NamedTuple):
    """The difference at one place, on rows that did not choose its directions."""

    relative: float
    """Mean square of the difference over the variance of the base; 0 for identical activations."""
    first: float
    """Share of the difference along the leading direction."""
    n_directions: int
    """Directions that hold nine tenths of it; 0 where there is none."""
    direction: Floats
    """The leading direction `(width,)`, length 1, towards the changed model."""


def activation_shift(
    base: NDArray[np.generic], changed: NDArray[np.generic], *, fit: NDArray[np.bool_], test: NDArray[np.bool_]
) -> Shift:
    """Return the shift from `base` to `changed`, both `(n_rows, width)`; `fit` and `test` mark rows.

    Raises:
        ShapeMismatch: The two do not have the same rows and width.
    """
    one, two = np.asarray(base, dtype=np.float64), np.asarray(changed, dtype=np.float64)
    if one.shape != two.shape:
        raise ShapeMismatch(f"Activations of shapes {one.shape} and {two.shape} have no difference.")
    difference = two - one
    total = float((difference[test] ** 2).sum())
    variance = float(((one[test] - one[test].mean(0)) ** 2).sum())
    if total <= 1e-12 * max(variance, 1e-30) or not difference[fit].any():
        return Shift(0.0, 0.0, 0, np.zeros(one.shape[1]))
    _, vectors = np.linalg.eigh(difference[fit].T @ difference[fit])
    vectors = vectors[:, ::-1]
    held = np.cumsum(((difference[test] @ vectors) ** 2).sum(0)) / total
    first = vectors[:, 0] * (1 if (difference[fit] @ vectors[:, 0]).sum() >= 0 else -1)
    return Shift(total / variance, float(held[0]), int(np.searchsorted(held, _SHARE)) + 1, first)
