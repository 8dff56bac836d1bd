"""Chance versions of a column: values dealt anew so that what a group knows of its own values is lost."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.statistics.arrays import Ints

Scalar = TypeVar("Scalar", bound=np.generic)


def shuffled_by_group(values: NDArray[Scalar], groups: ArrayLike, rng: np.random.Generator) -> NDArray[Scalar]:
    """Return the values after whole groups have changed places and each group's own values have been mixed.

    Both are needed: groups that hold one value each lose it only by changing places, and a counterfactual pair, which
    is the same whichever place it takes, only by being mixed. A group that takes the place of a larger one repeats.
    """
    members = rows_of_groups(groups)
    donors = rng.permutation(len(members))
    out = np.empty_like(values)
    for rows, donor in zip(members, donors, strict=True):
        out[rows] = np.resize(rng.permutation(values[members[int(donor)]]), rows.size)
    return out


def stratified_folds(strata: ArrayLike, groups: ArrayLike, *, n_folds: int, rng: np.random.Generator) -> Ints:
    """Return the fold `(n_rows,)` of every row: groups stay whole, and groups of similar mean stratum are dealt out."""
    members = rows_of_groups(groups)
    level = np.asarray(strata, dtype=np.float64)
    means = np.array([level[rows].mean() for rows in members])
    shuffled = rng.permutation(len(members))
    order = shuffled[np.argsort(means[shuffled], kind="stable")]
    out = np.empty(level.size, dtype=np.intp)
    for start in range(0, order.size, n_folds):
        for fold, group in zip(rng.permutation(n_folds), order[start : start + n_folds], strict=False):
            out[members[int(group)]] = fold
    return out


def rows_of_groups(groups: ArrayLike) -> list[Ints]:
    """Return the row indices of every group, groups in ascending order of their id."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    by_group = np.argsort(codes, kind="stable").astype(np.intp)
    return np.split(by_group, np.cumsum(np.bincount(codes))[:-1])
