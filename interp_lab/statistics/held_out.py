"""How far a linear model gets on groups that it has not seen: out-of-fold scores for any table of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Bools, Floats, Ints, Matrix, checked_matrix
from interp_lab.statistics.sample import Sample


def group_folds(sample: Sample, *, n_folds: int, seed: int) -> Ints:
    """Return the fold `(n_rows,)` of every row: groups stay whole, and each kind of group is dealt evenly."""
    positives = np.bincount(sample.groups, weights=sample.labels, minlength=sample.n_groups)
    share = positives / np.bincount(sample.groups, minlength=sample.n_groups)
    kind = np.where(share == 1, 0, np.where(share == 0, 2, 1))
    shuffled = np.random.default_rng(seed).permutation(sample.n_groups)
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]
    fold = np.empty(sample.n_groups, dtype=np.intp)
    fold[order] = np.arange(sample.n_groups) % n_folds
    return fold[sample.groups]


def held_out_scores(
    features: ArrayLike, sample: Sample, *, seed: int = 0, n_folds: int = 5, ridge: float = 1.0
) -> Floats:
    """Return a score `(n_rows,)` per row by a ridge classifier that was trained without the row's fold.

    There is no intercept and classes weigh the same, so that folds of different composition stay comparable and no
    information gives an AUROC near 0.5. `ridge` is relative to the mean squared length of a feature row.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.

    Source: Hoerl and Kennard (1970), solved in the smaller of the two spaces.
    """
    matrix = checked_matrix(features, sample.n_rows)
    folds = group_folds(sample, n_folds=min(n_folds, sample.n_positive_groups, sample.n_negative_groups), seed=seed)
    scores = np.zeros(sample.n_rows)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        scores[held] = _predict(matrix, sample.labels, held, ridge)
    return scores


def _predict(matrix: Matrix, labels: Bools, held: Bools, ridge: float) -> Floats:
    train, labels_train = matrix[~held].astype(np.float64), labels[~held]
    if labels_train.all() or not labels_train.any():
        return np.zeros(int(held.sum()))
    # The midpoint of the class means is the origin: the score of a row that resembles neither is 0.
    origin = (train[labels_train].mean(axis=0) + train[~labels_train].mean(axis=0)) / 2
    test: Floats = matrix[held].astype(np.float64) - origin
    train = train - origin
    share = float(labels_train.mean())
    target: Floats = np.where(labels_train, 0.5 / share, -0.5 / (1 - share))
    penalty = ridge * float(np.einsum("ij,ij->", train, train)) / train.shape[0]
    if penalty == 0:
        return np.zeros(int(held.sum()))
    scores: Floats = test @ _ridge_weights(train, target, penalty)
    return scores


def _ridge_weights(train: Floats, target: Floats, penalty: float) -> Floats:
    n, k = train.shape
    if k <= n:
        return np.asarray(np.linalg.solve(train.T @ train + penalty * np.eye(k), train.T @ target), dtype=np.float64)
    dual = np.linalg.solve(train @ train.T + penalty * np.eye(n), target)
    return np.asarray(train.T @ dual, dtype=np.float64)
