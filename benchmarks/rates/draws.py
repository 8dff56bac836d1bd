"""Data whose truth is known by construction: columns that follow a label by a chosen AUROC, effects of a chosen mean.

Every column and every repetition is drawn independently, so that how often an interval holds its truth is binomial.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from interp_lab.statistics.sample import Sample

Floats = NDArray[np.float64]
Shape = Literal["normal", "skewed", "mostly zero", "tail towards none", "mostly near zero"]
SHARED = 0.6
"""Share of the variance that the rows of a group have in common, where a group has several."""
ACTIVE = 0.3
"""Share of groups in which an effect that is mostly zero shows."""
NOISE = 0.1
"""Spread of what is mostly near zero, beside an effect of 1 where it shows."""


def own_groups(per_class: int, size: int) -> Sample:
    """Return groups of `size` rows that have one label each, `per_class` of either."""
    groups = np.repeat(np.arange(2 * per_class), size)
    return Sample.of(groups % 2 == 0, groups)


def uneven_groups(n: int) -> Sample:
    """Return `n` groups of 1, 2 and 8 rows in turn that have one label each, half of them either."""
    groups = group_codes(n, (1, 2, 8))
    return Sample.of(groups % 2 == 0, groups)


def families(n: int, sides: tuple[int, int] | None) -> Sample:
    """Return groups that hold both labels: (positives, negatives) rows each, or of unequal sides where None."""
    cycle = ((1, 4), (3, 2), (2, 2), (4, 1)) if sides is None else (sides,)
    counts = [cycle[place % len(cycle)] for place in range(n)]
    labels = np.concatenate([np.arange(sum(each)) < each[0] for each in counts])
    return Sample.of(labels, np.repeat(np.arange(n), [sum(each) for each in counts]))


def columns(rng: np.random.Generator, sample: Sample, auroc: float, n: int) -> Floats:
    """Return `(n_rows, n)`: a positive of one group exceeds a negative of another with probability `auroc`.

    Rows of a group have a part in common, and where a group has both labels each of its sides has another.
    """
    alone = sample.n_groups == sample.n_rows
    shared = 0.0 if alone else SHARED
    sides = 2 * sample.groups + sample.labels
    of_group = rng.normal(size=(sample.n_groups, n))[sample.groups]
    of_side = rng.normal(size=(2 * sample.n_groups, n))[sides]
    own = rng.normal(size=(sample.n_rows, n))
    values = math.sqrt(shared / 2) * (of_group + of_side) + math.sqrt(1 - shared) * own
    return values + math.sqrt(2) * float(norm.ppf(auroc)) * sample.labels[:, None]


def rare(rng: np.random.Generator, sample: Sample, n: int, *, planted: int) -> Floats:
    """Return `(n_rows, n)`: latents that are active in a quarter of the groups, chosen by chance.

    The first `planted` are active on most positive rows and on nothing else.
    """
    n_active = max(3, sample.n_groups // 4)
    chosen = np.argsort(rng.random((sample.n_groups, n)), axis=0) < n_active
    values = np.where(chosen[sample.groups], np.abs(rng.normal(size=(sample.n_rows, n))) + 0.1, 0.0)
    follows = sample.labels[:, None] & (rng.random((sample.n_rows, planted)) < 0.9)
    values[:, :planted] = np.where(follows, 1 + rng.random((sample.n_rows, planted)), 0.0)
    return values


def effects(rng: np.random.Generator, groups: NDArray[np.intp], shape: Shape) -> tuple[Floats, float]:
    """Return effects `(n_rows,)` of prompts in groups, and their true mean."""
    n = int(groups.max()) + 1
    if shape == "normal":
        return _mixed(rng.normal(size=n)[groups], rng.normal(size=groups.size), n) + 1.0, 1.0
    if shape == "skewed":
        return _mixed(rng.exponential(size=n)[groups] - 1, rng.exponential(size=groups.size) - 1, n) + 1.0, 1.0
    if shape == "tail towards none":
        mirrored, truth = effects(rng, groups, "skewed")
        return 2 - mirrored, truth
    shows = (rng.random(n) < ACTIVE)[groups]
    size = 1 + 0.5 * _mixed(rng.normal(size=n)[groups], rng.normal(size=groups.size), n)
    around = NOISE * rng.normal(size=groups.size) if shape == "mostly near zero" else 0.0
    return np.where(shows, size, 0.0) + around, ACTIVE


def group_codes(n: int, sizes: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the group of every row; sizes in turn."""
    return np.repeat(np.arange(n), [sizes[place % len(sizes)] for place in range(n)])


def _mixed(of_group: Floats, own: Floats, n_groups: int) -> Floats:
    return own if own.size == n_groups else math.sqrt(SHARED) * of_group + math.sqrt(1 - SHARED) * own
