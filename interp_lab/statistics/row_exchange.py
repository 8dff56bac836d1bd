"""Row exchange inside groups whose two sides differ in size: the second null that such groups have to survive.

Turning the labels of a whole group treats its sides alike, which they are only while equally large: the mean of one
rarely firing row is more skewed than the mean of nine, and always on the same side. Exchanging rows knows that skew
and in turn nothing of wordings shared by a side. Neither alone keeps its level, so that the larger p is the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.statistics.arrays import Bools, Floats
from interp_lab.statistics.distributions import log_gamma
from interp_lab.statistics.relabelling import Relabelling


class RowExchange(NamedTuple):
    """What groups with unequal sides add to the distribution of a rank sum, per column."""

    second: Floats
    """Second cumulant."""
    third: Floats
    """Third cumulant."""
    log_p: Floats
    """Log probability of exactly these labels of the active rows."""


def row_exchange(ranks: Floats, active: Bools, relabelling: Relabelling) -> RowExchange:
    """Return the cumulants of centred ranks `(n_columns, n_rows)`, rows in group order, under row exchange.

    Source: finite-population cumulants of a sample sum, group by group.
    """
    sample, unequal, sizes = relabelling.sample, relabelling.unequal, relabelling.sizes
    deviation = ranks - np.repeat(sample.group_sums(ranks) / sizes, sizes, axis=1)
    squared = deviation**2
    of_labels = relabelling.labels - np.repeat(relabelling.positives / sizes, sizes)
    # A group with unequal sides has at least three rows.
    n = np.where(unequal, sizes, 3).astype(np.float64)
    second = sample.group_sums(of_labels**2) / (n - 1) * unequal
    third = sample.group_sums(of_labels**3) * n / ((n - 1) * (n - 2)) * unequal
    return RowExchange(
        squared @ np.repeat(second, sizes),
        (squared * deviation) @ np.repeat(third, sizes),
        _log_labels(active, relabelling),
    )


def _log_labels(active: Bools, relabelling: Relabelling) -> Floats:
    sample, unequal = relabelling.sample, relabelling.unequal
    flags = active.astype(np.float64)
    taken = sample.group_sums(flags).astype(np.intp)[:, unequal]
    hit = sample.group_sums(flags * relabelling.labels).astype(np.intp)[:, unequal]
    n, m = relabelling.sizes[unequal], relabelling.positives[unequal].astype(np.intp)
    table = log_gamma(np.arange(1, int(n.max()) + 2))
    rest, left = n - taken, m - hit
    log_p = table[rest] - table[left] - table[rest - left] - (table[n] - table[m] - table[n - m])
    return log_p.sum(axis=1)
