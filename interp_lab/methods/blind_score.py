"""How well labels that were given blind agree with the truth: balanced accuracy with an interval over groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.statistics.clustered_share import clustered_share
from interp_lab.statistics.power import detectable_mean

METHOD = "Wilson, effective number of independent groups, Student t"


class Agreement(NamedTuple):
    """Labels against the truth."""

    accuracy: float
    """Mean over the classes of the share that was labelled right."""
    low: float
    high: float
    n: int
    n_groups: int
    detectable: float
    """Smallest accuracy that is told from chance with 80 % power."""


def agreement(right: ArrayLike, truth: ArrayLike, groups: ArrayLike, *, chance: float) -> Agreement:
    """Return how often labels were right, classes weighed equally; `right`, `truth`, `groups` are `(n_items,)`.

    All right is not certain: where rows have no spread, every group counts as one observation; see `clustered_share`.

    Raises:
        ShapeMismatch: The arrays differ in length.
        TooFewGroups: There are fewer than two groups.
    """
    hits, classes, codes = np.asarray(right, np.float64), np.asarray(truth), np.unique(groups, return_inverse=True)[1]
    if not hits.shape == classes.shape == codes.shape or hits.ndim != 1:
        raise ShapeMismatch(f"{hits.size} labels, {classes.size} truths and {codes.size} groups.")
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < 2:
        raise TooFewGroups(f"Labels of {n_groups} group have no interval.")
    _, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weight = 1 / (counts.size * counts[which])
    found = clustered_share(hits, codes, weights=weight)
    seen = chance + detectable_mean(np.sqrt(chance * (1 - chance)), n_groups)
    return Agreement(found.share, found.low, found.high, found.n_rows, n_groups, min(1.0, float(seen)))


def f1(answers: ArrayLike, truth: ArrayLike) -> float:
    """Return the harmonic mean of precision and recall of yes-or-no labels; 0 when nothing was found."""
    said, true = np.asarray(answers, np.bool_), np.asarray(truth, np.bool_)
    total = int(said.sum() + true.sum())
    return 2 * int((said & true).sum()) / total if total else 0.0
