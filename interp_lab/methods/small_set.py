"""Few latents that together tell positives from negatives: chosen greedily, by scores on groups held out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Bools, Floats, Ints, checked_matrix
from interp_lab.statistics.auroc import auroc
from interp_lab.statistics.held_out import group_folds
from interp_lab.statistics.sample import Sample

MOST = 6
"""Latents in a set: more can no longer be read."""
WORTH = 0.01
"""AUROC that another latent must add to be taken."""
_FOLDS = 5
_RIDGE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class SmallSet:
    """A set and how far it got while it grew."""

    members: tuple[int, ...]
    """Columns of what was given, in the order in which they were taken."""
    reach: tuple[float, ...]
    """Held-out AUROC with one, two, … members."""
    weights: Floats
    """Weight of each member's standardised value, fitted on all rows `(n_members,)`."""
    centre: Floats
    scale: Floats

    def scores(self, values: ArrayLike) -> Floats:
        """Return the score `(n_rows,)` of values `(n_rows, n_candidates)`, higher where it says positive."""
        chosen = np.asarray(values, dtype=np.float64)[:, list(self.members)]
        return ((chosen - self.centre) / self.scale) @ self.weights


def small_set(values: ArrayLike, sample: Sample, *, seed: int, most: int = MOST) -> SmallSet:
    """Return the set chosen among candidates `(n_rows, n_candidates)`.

    Each step takes the latent that raises the AUROC of out-of-fold scores most, and the last steps are undone while
    they add less than `WORTH`. The choice was made on these rows, so its reach here flatters it; score it elsewhere.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: forward selection with ridge, as in sparse probing (Gurnee et al. 2023); we differ in grouped folds.
    """
    matrix = checked_matrix(values, sample.n_rows).astype(np.float64)
    centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standard = (matrix - centre) / scale
    least = min(sample.n_positive_groups, sample.n_negative_groups)
    folds = group_folds(sample, n_folds=min(_FOLDS, least), seed=seed)
    members: list[int] = []
    reach: list[float] = []
    while len(members) < min(most, matrix.shape[1]):
        left = [c for c in range(matrix.shape[1]) if c not in members]
        found = [_reach(standard, sample, folds, [*members, c]) for c in left]
        best = int(np.argmax(found))
        members.append(left[best])
        reach.append(found[best])
    n = _worth(reach)
    kept = members[:n]
    weights = _ridge(standard[:, kept], sample.labels)
    return SmallSet(tuple(kept), tuple(reach[:n]), weights, centre[kept], scale[kept])


def _worth(reach: Sequence[float]) -> int:
    """Return the size after which nothing of the rest adds enough."""
    n = 1
    for size in range(2, len(reach) + 1):
        if reach[size - 1] - reach[n - 1] >= WORTH:
            n = size
    return n


def _reach(standard: Floats, sample: Sample, folds: Ints, members: Sequence[int]) -> float:
    chosen = standard[:, members]
    scores = np.zeros(sample.n_rows)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        labels = sample.labels[~held]
        if labels.any() and not labels.all():
            train = chosen[~held]
            middle = (train[labels].mean(axis=0) + train[~labels].mean(axis=0)) / 2
            scores[held] = (chosen[held] - middle) @ _ridge(train, labels)
    return float(auroc(scores[:, None], sample.labels)[0])


def _ridge(rows: Floats, labels: Bools) -> Floats:
    centred = rows - (rows[labels].mean(axis=0) + rows[~labels].mean(axis=0)) / 2
    share = float(np.mean(labels))
    weights: Floats = np.asarray(np.where(labels, 0.5 / share, 0.5 / (1 - share)), dtype=np.float64)
    aim: Floats = np.asarray(np.where(labels, 1.0, -1.0) * weights, dtype=np.float64)
    gram: Floats = np.asarray(centred.T @ (centred * weights[:, None]), dtype=np.float64)
    penalty = _RIDGE * float(np.trace(gram)) / max(1, gram.shape[0])
    if penalty == 0:
        return np.zeros_like(rows[0])
    ridge: Floats = np.asarray(gram + penalty * np.eye(gram.shape[0]), dtype=np.float64)
    toward: Floats = np.asarray(centred.T @ aim, dtype=np.float64)
    return np.asarray(np.linalg.solve(ridge, toward), dtype=np.float64)
