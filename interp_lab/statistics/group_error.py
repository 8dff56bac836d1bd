"""The standard error of a mean over rows in groups, and its degrees of freedom, also where groups differ in size.

The sum of squared group residuals is too small where a few groups hold most of the rows: such a group pulls the mean
towards itself, and tells as much as a few groups, not as all of them. How much so depends on whether rows of a group
say the same; both cases are reckoned with, and the worse one counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.statistics.arrays import Floats, Ints

_LEAST_REST = 0.01
"""What is left without a group is taken to be at least this share of the rows."""


class Balance(NamedTuple):
    """What the sizes of groups do to the error of a mean; of several means one value each `(n_means,)`."""

    inverse: Floats
    """What squared residual sums are multiplied by `(n_groups,)`."""
    df: Floats
    """Degrees of freedom, at most one less than there are groups, and that where all weigh the same."""
    squares: Floats
    """Sum of squared weights; its inverse is how many equal groups would give the same error."""
    lopsided: Floats
    """How much of the skewness of groups their mean has: with `n` equal groups `n ** -0.5`."""


class GroupError(NamedTuple):
    """How far a mean may be off, in the unit of the residuals."""

    standard_error: float
    df: float
    """At most one less than there are groups, and that where all weigh the same."""


def group_error(residuals: Floats, weights: Floats) -> GroupError:
    """Return the error of a weighted mean from what each group adds to it `(n_groups,)`: residual sums over the total.

    `weights` are the shares of the groups in the total and sum to 1. Groups of one weight give the textbook formula.

    Source: as `balance_of`.
    """
    balance = balance_of(weights)
    return GroupError(float(np.sqrt((residuals**2) @ balance.inverse)), float(balance.df[0]))


def balance_of(weights: Floats, owners: Ints | None = None, n_means: int = 1) -> Balance:
    """Return what groups with these weights `(n_groups,)` do to a mean; `owners` names the mean of each group.

    The weights of one mean sum to 1. A mean of fewer than two groups has no error; its degrees of freedom are 1.

    Source: Bell and McCaffrey (2002): squares over 1 less the weight, and Satterthwaite's degrees of freedom, here for
    independent rows and for rows of a group that are all alike (Pustejovsky and Tipton 2018); the fewer are taken, and
    squares are raised to be right on average in both cases.
    """
    owner = np.zeros(weights.size, dtype=np.intp) if owners is None else owners
    inverse = 1 / np.maximum(1 - weights, _LEAST_REST)
    pulls = inverse * weights**2
    parts = (weights**2, weights**3, pulls, pulls * weights, pulls * weights**2, pulls**2, pulls**2 * weights)
    sums = [np.bincount(owner, weights=part, minlength=n_means).astype(np.float64) for part in parts]
    squares, cubes, b0, b1, b2, q0, q1 = sums
    most = np.maximum(np.bincount(owner, minlength=n_means) - 1.0, 1.0)
    expected = b0 * (1 + squares) - 2 * b1  # of the squares, where rows of a group are alike
    spread = (squares * b0) ** 2 + 2 * b2 * b0 + 2 * b1**2 - 4 * squares * b1 * b0
    spread += q0 * (1 + 2 * squares) - 4 * q1
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.fmin(1 / (squares + b0**2 - q0), expected**2 / spread)
        raised = np.where(expected > _LEAST_REST * squares, squares / expected, 1 / _LEAST_REST)
        lopsided = cubes / squares**1.5
    df = np.clip(np.where(np.isfinite(df), df, 1.0), 1.0, most)
    return Balance(inverse * np.maximum(raised, 1.0)[owner], df, squares, lopsided)
