"""The cluster bootstrap: an interval for any statistic of rows, by drawing whole groups with replacement."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints


class BootstrapInterval(NamedTuple):
    """The statistic on the data, and its percentile interval, elementwise."""

    estimate: Floats
    low: Floats
    high: Floats
    draws: int


def cluster_bootstrap(
    statistic: Callable[[Ints], Floats | float],
    groups: ArrayLike,
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> BootstrapInterval:
    """Return the percentile interval of `statistic(rows)`, where rows of a group are drawn together.

    The statistic must be defined on every draw; a statistic that needs both classes is better served by groups that
    hold both, or by `separation`, which needs no draws.

    Raises:
        TooFewGroups: there are fewer than two groups.

    Source: Davison and Hinkley (1997, §3.8), groups resampled, rows inside them kept.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    by_group = np.argsort(codes, kind="stable")
    bounds = np.cumsum(np.bincount(codes))
    members: list[Ints] = [rows.astype(np.intp) for rows in np.split(by_group, bounds[:-1])]
    if len(members) < 2:
        raise TooFewGroups(f"A bootstrap over {len(members)} group has no spread.")
    rng = np.random.default_rng(seed)
    estimate = np.asarray(statistic(np.arange(codes.size)), dtype=np.float64)
    drawn = np.empty((draws, *estimate.shape))
    for k in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        drawn[k] = statistic(np.concatenate([members[int(g)] for g in chosen]))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return BootstrapInterval(estimate, np.asarray(low), np.asarray(high), draws)
