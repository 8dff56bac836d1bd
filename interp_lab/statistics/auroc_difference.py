"""Whether one score tells positives from negatives better than another on the same rows: paired AUROCs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_vector
from interp_lab.statistics.sample import Sample
from interp_lab.statistics.separation import separation

INTERVAL_METHOD = "MOVER from the interval of either AUROC and the correlation of their placements over prompt groups"


class AurocDifference(NamedTuple):
    """AUROC of the first score less that of the second."""

    estimate: float
    low: float
    high: float


def auroc_difference(first: ArrayLike, second: ArrayLike, sample: Sample, *, level: float = 0.95) -> AurocDifference:
    """Return the paired difference of two scores `(n_rows,)`, each higher where it says positive.

    Raises:
        ShapeMismatch, NonFiniteInput: a score is not one finite number per row.

    Near an AUROC of 1 the placements hardly vary, so that a spread of their difference would say too little: each
    interval stays open there, and so does that of the difference.

    Source: Zou (2007), method of variance estimates recovery for dependent estimates; correlation by the placements of
    DeLong et al. (1988), summed over groups as in Obuchowski (1997).
    """
    scores = [
        checked_vector(first, sample.n_rows, "first score"),
        checked_vector(second, sample.n_rows, "second score"),
    ]
    alone = separation(np.stack(scores, axis=1), sample, level=level)
    sums = [_group_sums(_placements(score, sample), sample) for score in scores]
    lengths = float(np.sqrt((sums[0] @ sums[0]) * (sums[1] @ sums[1])))
    correlation = float(np.clip(sums[0] @ sums[1] / lengths, -1.0, 1.0)) if lengths > 0 else 0.0
    (a, b), (low_a, low_b), (high_a, high_b) = alone.auroc, alone.low, alone.high
    return AurocDifference(
        float(a - b),
        max(-1.0, float(a - b) - _joined(a - low_a, high_b - b, correlation)),
        min(1.0, float(a - b) + _joined(high_a - a, b - low_b, correlation)),
    )


def _joined(first: float, second: float, correlation: float) -> float:
    return float(np.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second)))


def _group_sums(placed: Floats, sample: Sample) -> Floats:
    """What each group adds to an AUROC, less what it would if all were alike."""
    estimate = float(placed[sample.labels].mean())
    centred = np.where(sample.labels, (placed - estimate) / sample.n_positive, (placed - estimate) / sample.n_negative)
    return np.bincount(sample.groups, weights=centred, minlength=sample.n_groups).astype(np.float64)


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
