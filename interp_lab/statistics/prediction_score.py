"""How well predictions do on rows that did not make them: one score per kind of target, with an interval over groups.

Numbers are scored by R², two classes by AUROC, more classes by balanced accuracy. Every p is one-sided: it asks
whether the predictions beat what no information gives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import LabelsUnusable, TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints, checked_vector
from interp_lab.statistics.clustered_mean import clustered_mean
from interp_lab.statistics.distributions import student_critical_value, student_tail
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import INTERVAL_METHOD, separation
from interp_lab.statistics.wilson import wilson_interval

ACCURACY_METHOD = "Wilson interval on the effective size of a cluster-robust variance, Student t over groups"
R_SQUARED_METHOD = "Student t over groups on the logarithm of the share left unexplained"
_LEAST_SHARE_OF_VARIANCE = 0.5


class PredictionScore(NamedTuple):
    """A score on held-out rows, its interval, and the chance of doing as well without information."""

    value: float
    low: float
    high: float
    p: float
    n_rows: int
    n_groups: int
    method: str


def auroc_score(scores: ArrayLike, sample: Sample, *, level: float = 0.95) -> PredictionScore:
    """Return the AUROC of a score per row; p is 1 where the score points the wrong way.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
    """
    column = checked_vector(scores, sample.n_rows, "score")[:, None]
    found = separation(column, sample, level=level)
    value = float(found.auroc[0])
    p = float(found.p[0]) if value > 0.5 else 1.0
    return PredictionScore(
        value, float(found.low[0]), float(found.high[0]), p, sample.n_rows, sample.n_groups, INTERVAL_METHOD
    )


def balanced_accuracy(predicted: Ints, classes: Ints, groups: ArrayLike, *, level: float = 0.95) -> PredictionScore:
    """Return the mean over classes of the share predicted right; `classes` are codes, each present in two groups.

    A variance that is 0 because nothing was predicted wrongly says nothing, so the variance is taken to be at least
    half of what independent groups would give at this accuracy.

    Raises:
        LabelsUnusable: there are fewer than two classes.
        TooFewGroups: a class is seen in fewer than two groups.

    Source: linearised mean of ratios, Cochran (1977, §6); effective size as in Korn and Graubard (1998).
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    names, own = np.unique(classes, return_inverse=True)
    n_groups, n_classes = int(codes.max()) + 1, names.size
    if n_classes < 2:
        raise LabelsUnusable(f"Accuracy over {n_classes} class tells nothing apart.")
    counts = np.zeros((n_groups, n_classes))
    right = np.zeros((n_groups, n_classes))
    np.add.at(counts, (codes, own), 1.0)
    np.add.at(right, (codes, own), (np.asarray(predicted) == np.asarray(classes)).astype(np.float64))
    holders = (counts > 0).sum(axis=0)
    if int(holders.min()) < 2:
        raise TooFewGroups(f"A class is seen in {int(holders.min())} group; two of each are the least.")
    totals = counts.sum(axis=0)
    per_class = right.sum(axis=0) / totals
    value = float(per_class.mean())
    influence = ((right - counts * per_class) / totals).sum(axis=1) / n_classes
    variance = float(influence @ influence) * n_groups / (n_groups - 1)
    return _scored_share(value, variance, holders, n=(int(codes.size), n_groups), level=level)


def _scored_share(value: float, variance: float, holders: Ints, *, n: tuple[int, int], level: float) -> PredictionScore:
    chance, df = 1 / holders.size, float(holders.min()) - 1
    n_independent = holders.size**2 / float((1 / holders).sum())
    spread = value * (1 - value)
    n_effective = n_independent / _LEAST_SHARE_OF_VARIANCE
    if spread > 0 and variance > 0:
        n_effective = min(n_effective, spread / variance)
    low, high = wilson_interval(value, n_effective, critical=student_critical_value(level, df), level=level)
    error = np.sqrt(max(variance, _LEAST_SHARE_OF_VARIANCE * chance * (1 - chance) / n_independent))
    t = (value - chance) / error
    p = float(student_tail(t, df)) if t > 0 else 1.0
    return PredictionScore(value, float(low), float(high), p, *n, ACCURACY_METHOD)


def r_squared(predicted: ArrayLike, target: ArrayLike, groups: ArrayLike, *, level: float = 0.95) -> PredictionScore:
    """Return the share of the target's variance on these rows that the predictions explain; negative if they harm.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_vector`.
        LabelsUnusable: the target does not vary on these rows.
        TooFewGroups: there are fewer than two groups.

    Source: linearised ratio of group sums, Cochran (1977, §6), on the log scale, so that the bound never passes 1.
    """
    wanted = checked_vector(target, np.asarray(target).size, "target")
    given = checked_vector(predicted, wanted.size, "prediction")
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < 2:
        raise TooFewGroups(f"R² over {n_groups} group has no interval.")
    around_mean = np.square(wanted - wanted.mean())
    total = float(around_mean.sum())
    if total <= 0:
        raise LabelsUnusable("The target does not vary on the held-out rows.")
    errors = np.square(wanted - given)
    left = float(errors.sum()) / total
    half = _log_half_width(_group_sums(errors, codes), _group_sums(around_mean, codes), level)
    low, high = (1 - left * np.exp(half), 1 - left * np.exp(-half)) if left > 0 else (1.0, 1.0)
    gain = clustered_mean(around_mean - errors, codes)
    p = gain.p / 2 if gain.mean > 0 else 1.0
    return PredictionScore(1 - left, float(low), float(high), p, wanted.size, n_groups, R_SQUARED_METHOD)


def _group_sums(values: Floats, codes: Ints) -> Floats:
    return np.bincount(codes, weights=values).astype(np.float64)


def _log_half_width(errors: Floats, around_mean: Floats, level: float) -> float:
    if errors.sum() <= 0:
        return 0.0
    influence = errors / errors.sum() - around_mean / around_mean.sum()
    n = influence.size
    error = float(np.sqrt(influence @ influence * n / (n - 1)))
    return student_critical_value(level, n - 1) * error
