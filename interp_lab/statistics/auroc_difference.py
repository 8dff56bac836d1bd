"""Whether one score tells positives from negatives better than another on the same rows: paired AUROCs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_vector
from interp_lab.statistics.distributions import student_critical
from interp_lab.statistics.sample import Sample

INTERVAL_METHOD = "DeLong placements summed over prompt groups, Student t over the groups of the smaller class"


class AurocDifference(NamedTuple):
    """AUROC of the first score less that of the second."""

    estimate: float
    low: float
    high: float


def auroc_difference(first: ArrayLike, second: ArrayLike, sample: Sample, *, level: float = 0.95) -> AurocDifference:
    """Return the paired difference of two scores `(n_rows,)`, each higher where it says positive.

    Raises:
        ShapeMismatch, NonFiniteInput: a score is not one finite number per row.

    Source: DeLong et al. (1988), its placements summed over groups as in Obuchowski (1997).
    """
    placed = _placements(checked_vector(first, sample.n_rows, "first score"), sample)
    placed -= _placements(checked_vector(second, sample.n_rows, "second score"), sample)
    estimate = float(placed[sample.labels].mean())
    centred = np.where(sample.labels, (placed - estimate) / sample.n_positive, (placed - estimate) / sample.n_negative)
    sums = np.bincount(sample.groups, weights=centred, minlength=sample.n_groups)
    error = float(np.sqrt(sums @ sums * sample.n_groups / (sample.n_groups - 1)))
    least = min(sample.n_positive_groups, sample.n_negative_groups)
    half = float(student_critical(level, np.array([float(least - 1)]))[0]) * error
    return AurocDifference(estimate, max(-1.0, estimate - half), min(1.0, estimate + half))


def _placements(score: Floats, sample: Sample) -> Floats:
    """Of a positive the share of negatives below it, of a negative the share of positives above it; ties half."""
    out = np.empty(score.size)
    positives, negatives = np.sort(score[sample.labels]), np.sort(score[~sample.labels])
    out[sample.labels] = _below(negatives, score[sample.labels])
    out[~sample.labels] = 1 - _below(positives, score[~sample.labels])
    return out


def _below(ordered: Floats, at: Floats) -> Floats:
    sides = np.searchsorted(ordered, at, "left") + np.searchsorted(ordered, at, "right")
    return sides / (2 * ordered.size)
