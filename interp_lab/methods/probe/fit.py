"""Training one probe: standardise, choose the penalty on folds of the training examples, fit, undo the scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import TooFewGroups
from interp_lab.methods.probe.target import FAMILIES, Target
from interp_lab.statistics.arrays import Floats, Ints, checked_matrix
from interp_lab.statistics.group_shuffle import stratified_folds
from interp_lab.statistics.linear_model import COARSE, EXACT, LinearFit, fit_linear, mean_loss

PENALTIES: tuple[float, ...] = tuple(10.0**power for power in range(3, -5, -1))
"""Penalties that are tried, strongest first: per example and for features of unit variance."""
N_FOLDS = 5
LEAST_GROUPS = 4
"""Training groups without which no penalty can be chosen."""

_PATIENCE = 2
_PLATEAU = 1e-3
_MOST_ROTATED = 2048
_RANK_CUT = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Training activations, standardised and rotated to uncorrelated features, and the way back."""

    features: Floats
    """`(n_examples, n_features)`."""
    rotation: Floats | None
    """`(width, n_features)`, orthonormal columns; None where the coordinates are kept."""
    mean: Floats
    scale: Floats
    """Per coordinate; infinite for one that never varies, so that it has no part."""

    @classmethod
    def of(cls, values: ArrayLike) -> Prepared:
        """Return the prepared form of activations `(n_examples, width)`.

        A penalty on the length of the coefficients does not see a rotation, so the answer is that of plain
        standardised coordinates; it is found in as many dimensions as there are examples, and in few steps.

        Raises:
            ShapeMismatch, NonFiniteInput: as `checked_matrix`.
        """
        matrix = checked_matrix(values, np.asarray(values).shape[0]).astype(np.float64)
        mean = matrix.mean(axis=0)
        matrix -= mean
        spread = np.sqrt(np.einsum("ij,ij->j", matrix, matrix) / matrix.shape[0])
        least = _RANK_CUT * (1 + np.abs(mean))
        scale = np.where(spread > least, spread, np.inf)
        matrix /= scale
        rotation = _rotation(matrix)
        return cls(matrix if rotation is None else matrix @ rotation, rotation, mean, scale)

    def unscaled(self, coefficients: Floats, intercepts: Floats) -> Linear:
        """Return the linear function of raw activations that these coefficients of features mean."""
        return self.linear(coefficients if self.rotation is None else self.rotation @ coefficients, intercepts)

    def linear(self, standardised: Floats, intercepts: Floats) -> Linear:
        """Return the linear function of raw activations from coefficients `(width, n_outputs)` of standardised ones."""
        directions = standardised / self.scale[:, None]
        return Linear(directions, intercepts - self.mean @ directions)

    def project(self, standardised: Floats) -> Floats:
        """Return the training examples' values along directions `(width, k)` of standardised activations."""
        return self.features @ (standardised if self.rotation is None else self.rotation.T @ standardised)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear function of raw activations: `directions` `(width, n_outputs)` and `intercepts` `(n_outputs,)`."""

    directions: Floats
    intercepts: Floats

    def scores(self, values: ArrayLike) -> Floats:
        """Return scores `(n_examples, n_outputs)` of activations `(n_examples, width)`."""
        return np.asarray(values, dtype=np.float64) @ self.directions + self.intercepts


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A trained probe and how its penalty was chosen."""

    linear: Linear
    penalty: float
    losses: dict[float, float]
    """Mean loss on held-out folds of the training examples, by penalty that was tried."""

    @property
    def at_edge(self) -> bool:
        """Whether the weakest penalty of all was best, so that a weaker one might do better."""
        return self.penalty == PENALTIES[-1]


def train(prepared: Prepared, target: Target, groups: ArrayLike, *, seed: int) -> Probe:
    """Return the probe of the training examples, its penalty chosen by grouped cross-validation among them alone.

    Raises:
        TooFewGroups: there are fewer than four groups.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < LEAST_GROUPS:
        raise TooFewGroups(f"{n_groups} training groups; {LEAST_GROUPS} are the least that a penalty is chosen on.")
    rng = np.random.default_rng(seed)
    folds = stratified_folds(target.values, codes, n_folds=min(N_FOLDS, n_groups), rng=rng)
    losses = _fold_losses(prepared.features, target, folds)
    penalty = min(losses, key=lambda candidate: (losses[candidate], -candidate))
    return Probe(fit_with(prepared, target, penalty), penalty, losses)


def fit_with(prepared: Prepared, target: Target, penalty: float, *, tolerance: float = EXACT) -> Linear:
    """Return the linear function fitted to all training examples with this penalty, in the target's own unit."""
    middle, spread = _unit(target)
    encoded = (target.encoded() - middle) / spread
    fit = fit_linear(
        prepared.features,
        encoded,
        target.weights(),
        family=FAMILIES[target.task],
        penalty=penalty,
        tolerance=tolerance,
    )
    return prepared.unscaled(fit.coefficients * spread, fit.intercepts * spread + middle)


def mean_difference(values: ArrayLike, target: Target) -> Floats:
    """Return the mean activation of the positive class less that of the other, `(width,)`, of a binary target."""
    matrix = np.asarray(values, dtype=np.float64)
    positive = target.values > 0
    return matrix[positive].mean(axis=0) - matrix[~positive].mean(axis=0)


def _fold_losses(features: Floats, target: Target, folds: Ints) -> dict[float, float]:
    """Walk from strong to weak penalties, each fold starting where it was, until weaker ones have stopped helping."""
    middle, spread = _unit(target)
    encoded, weights = (target.encoded() - middle) / spread, target.weights()
    fits: list[LinearFit | None] = [None] * (int(folds.max()) + 1)
    losses: dict[float, float] = {}
    for penalty in PENALTIES:
        total = 0.0
        for fold, start in enumerate(fits):
            held = folds == fold
            fit = fit_linear(
                features[~held],
                encoded[~held],
                weights[~held],
                family=FAMILIES[target.task],
                penalty=penalty,
                start=start,
                tolerance=COARSE,
            )
            fits[fold] = fit
            share = float(weights[held].sum())
            total += share * mean_loss(
                fit, features[held], encoded[held], weights=weights[held], family=FAMILIES[target.task]
            )
        losses[penalty] = total
        if _stopped_helping(list(losses.values())):
            break
    return losses


def _stopped_helping(losses: Sequence[float]) -> bool:
    # Strong penalties all give the loss of the constant guess: a plateau there is no sign that weaker ones do harm.
    waited = len(losses) - 1 - losses.index(min(losses))
    return waited >= _PATIENCE and max(losses) - min(losses) > _PLATEAU * abs(min(losses))


def _unit(target: Target) -> tuple[float, float]:
    if target.task != "regression":
        return 0.0, 1.0
    spread = float(target.values.std())
    return float(target.values.mean()), spread if spread > 0 else 1.0


def _rotation(matrix: Floats) -> Floats | None:
    n, width = matrix.shape
    if min(n, width) > _MOST_ROTATED:
        return None
    values, vectors = np.linalg.eigh(matrix.T @ matrix if width <= n else matrix @ matrix.T)
    kept = values > _RANK_CUT * max(float(values[-1]), _RANK_CUT)
    vectors, values = vectors[:, kept], values[kept]
    return vectors if width <= n else (matrix.T @ vectors) / np.sqrt(values)
