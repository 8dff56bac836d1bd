"""Directions of activations that a criterion suggests: difference of means, linear discriminant, principal component.

Each is fitted on the rows given and scored elsewhere. Sparse or wide activations are first turned into as many
coordinates as there are rows, which keeps every product between rows and knows no label.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Bools, Floats, Matrix, checked_matrix
from interp_lab.statistics.held_out import group_folds
from interp_lab.statistics.sample import Sample

DirectionKind = Literal["difference_of_means", "linear_discriminant", "principal_component"]
KINDS: tuple[DirectionKind, ...] = ("difference_of_means", "linear_discriminant", "principal_component")
FOLDS = 5
SHRINKAGE = 0.1
"""Share of the within-class covariance that is replaced by its mean variance."""
_RANK_CUT = 1e-9
_STEPS = 60


def fewer_coordinates(values: ArrayLike) -> Floats:
    """Return activations `(n_rows, width)` as `(n_rows, at most n_rows)` with the same products between rows.

    Raises:
        NonFiniteInput: a value is NaN or infinite.
    """
    matrix = checked_matrix(values, np.asarray(values).shape[0])
    n, width = matrix.shape
    if width <= n:
        return matrix.astype(np.float64)
    squares, vectors = np.linalg.eigh((matrix @ matrix.T).astype(np.float64))
    kept = squares > _RANK_CUT * max(float(squares[-1]), _RANK_CUT)
    return np.asarray(vectors[:, kept] * np.sqrt(squares[kept]), dtype=np.float64)


def fit_direction(kind: DirectionKind, values: Matrix, labels: Bools) -> Floats:
    """Return the direction `(width,)` of activations `(n_rows, width)`, pointing to the positives.

    Source: difference of class means; Fisher (1936) with covariance shrunk to its mean variance, Ledoit and Wolf
    (2004), at a fixed share; first principal component, turned to the positives.
    """
    rows = values.astype(np.float64)
    positive, negative = rows[labels].mean(axis=0), rows[~labels].mean(axis=0)
    difference = positive - negative
    if kind == "difference_of_means":
        return difference
    if kind == "principal_component":
        first = _first_component(rows - rows.mean(axis=0))
        return first if first @ difference >= 0 else -first
    within = np.asarray(np.where(labels[:, None], rows - positive, rows - negative), dtype=np.float64)
    return _discriminant(within, difference)


def held_out_direction_scores(kind: DirectionKind, values: Matrix, sample: Sample, *, seed: int) -> Floats:
    """Return for every row `(n_rows,)` its score by a direction fitted without the row's fold of groups.

    Scores are measured from the midpoint of the classes, so that folds are comparable.
    """
    least = min(sample.n_positive_groups, sample.n_negative_groups)
    folds = group_folds(sample, n_folds=min(FOLDS, least), seed=seed)
    scores = np.zeros(sample.n_rows)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        labels = sample.labels[~held]
        if labels.all() or not labels.any():
            continue
        train = values[~held]
        direction = fit_direction(kind, train, labels)
        along = train @ direction
        gap = float(along[labels].mean() - along[~labels].mean())
        middle = float(along[labels].mean() + along[~labels].mean()) / 2
        scores[held] = (values[held] @ direction - middle) / (gap if gap > 0 else 1.0)
    return scores


def principal_components(values: Matrix, n: int) -> Floats:
    """Return the first directions of variance `(n, width)`, each pointing where its largest coordinate does.

    They know no label. A direction that does not exist, because fewer vary, is zero.
    """
    rows = values.astype(np.float64)
    rows -= rows.mean(axis=0)
    n_rows, width = rows.shape
    squares, vectors = np.linalg.eigh(rows.T @ rows if width <= n_rows else rows @ rows.T)
    order = np.argsort(squares)[::-1][:n]
    kept = order[squares[order] > _RANK_CUT * max(float(squares[-1]), _RANK_CUT)]
    found = vectors[:, kept].T if width <= n_rows else vectors[:, kept].T @ rows
    largest = np.abs(found).argmax(axis=1)
    whole = np.zeros((n, width))
    whole[: kept.size] = found * np.where(found[np.arange(kept.size), largest] < 0, -1.0, 1.0)[:, None]
    return whole


def _first_component(centred: Floats) -> Floats:
    """Return the direction of largest variance by power iteration from the row that is longest."""
    direction = centred[int(np.argmax(np.einsum("ij,ij->i", centred, centred)))]
    for _ in range(_STEPS):
        length = float(np.linalg.norm(direction))
        if length == 0:
            break
        direction = centred.T @ (centred @ (direction / length))
    return direction


def _discriminant(within: Floats, difference: Floats) -> Floats:
    n, width = within.shape
    mean_variance = float(np.einsum("ij,ij->", within, within)) / (n * width)
    if mean_variance == 0:
        return difference
    ridge = SHRINKAGE / (1 - SHRINKAGE) * mean_variance * n
    if width <= n:
        return np.asarray(np.linalg.solve(within.T @ within + ridge * np.eye(width), difference), dtype=np.float64)
    # Woodbury: the same answer from products between rows.
    inner = np.asarray(np.linalg.solve(within @ within.T + ridge * np.eye(n), within @ difference), dtype=np.float64)
    return np.asarray((difference - within.T @ inner) / ridge, dtype=np.float64)
