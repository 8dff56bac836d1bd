"""The standard error of a mean over rows in groups, and its degrees of freedom, also where groups differ in size.

The sum of squared group residuals is too small where a few groups hold most of the rows: such a group pulls the mean
towards itself, and tells as much as a few groups, not as all of them.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

from interp_lab.statistics.arrays import Floats

Value = TypeVar("Value", float, Floats)

_LEAST_REST = 0.01
"""What is left without a group is taken to be at least this share of the rows."""


class GroupError(NamedTuple):
    """How far a mean may be off, in the unit of the residuals."""

    standard_error: float
    df: float
    """At most one less than there are groups, and that where all weigh the same."""


def group_error(residuals: Floats, weights: Floats) -> GroupError:
    """Return the error of a weighted mean from what each group adds to it `(n_groups,)`: residual sums over the total.

    `weights` are the shares of the groups in the total and sum to 1. Groups of one weight give the textbook formula.

    Source: Bell and McCaffrey (2002): squares over 1 less the weight (CR2), degrees of freedom for independent rows.
    """
    inverse = inverse_rests(weights)
    pulls = inverse * weights**2
    df = degrees_of_freedom(float(weights @ weights), float(pulls.sum()), float(pulls @ pulls))
    return GroupError(float(np.sqrt((residuals**2) @ inverse)), float(np.clip(df, 1.0, residuals.size - 1)))


def inverse_rests(weights: Floats) -> Floats:
    """Return what squared residual sums are multiplied by: 1 over what is left without the group."""
    return 1 / np.maximum(1 - weights, _LEAST_REST)


def degrees_of_freedom(squares: Value, pulls: Value, squared_pulls: Value) -> Value:
    """Return degrees of freedom from sums over groups of `w**2`, of `w**2 * inverse_rests(w)` and of that squared.

    One less than there are groups where all weigh the same, up to rounding.
    """
    return 1 / (squares + pulls**2 - squared_pulls)
