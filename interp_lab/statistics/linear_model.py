"""Linear models with a quadratic penalty: least squares, logistic and multinomial, by one truncated Newton method.

The objective is `sum(weights * loss) + penalty / 2 * |coefficients|²` with weights that sum to 1 and intercepts that
are not penalised. Which penalty is right is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from interp_lab.errors import InvalidRequest, ShapeMismatch
from interp_lab.statistics.arrays import Floats

Family = Literal["squared", "logistic", "softmax"]
"""Squared error with one output, logistic loss with one output, or multinomial loss with one output per class."""

EXACT = 1e-8
"""Largest gradient entry at which a fit that is reported counts as converged, features of unit variance."""
COARSE = 1e-4
"""The same for a fit that is only compared with others."""

_NEWTON_STEPS = 60
_CG_STEPS = 200
_HALVINGS = 30
_ARMIJO = 1e-4


@dataclass(frozen=True, slots=True)
class _Loss:
    mean: Callable[[Floats], Floats]
    """Expected target at these linear scores `(n_rows, n_outputs)`."""
    deviance: Callable[[Floats, Floats], Floats]
    """Loss per row `(n_rows,)` of scores and targets."""
    curvature: Callable[[Floats, Floats], Floats]
    """Second derivative at this mean, times a change of the scores."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """Coefficients `(n_features, n_outputs)` and intercepts `(n_outputs,)`."""

    coefficients: Floats
    intercepts: Floats

    def scores(self, features: Floats) -> Floats:
        """Return linear scores `(n_rows, n_outputs)`."""
        return features @ self.coefficients + self.intercepts


def fit_linear(
    features: Floats,
    targets: Floats,
    weights: Floats,
    *,
    family: Family,
    penalty: float,
    start: LinearFit | None = None,
    tolerance: float = EXACT,
) -> LinearFit:
    """Return the minimiser; `targets` are `(n_rows, n_outputs)`: numbers, 0 and 1, or one-hot rows.

    Features should be centred and of comparable size; uncorrelated features converge fastest.

    Raises:
        ShapeMismatch: features, targets and weights differ in rows.
        InvalidRequest: the penalty is not positive.

    Source: truncated Newton with a diagonal preconditioner, Nocedal and Wright (2006, §7.1).
    """
    if not (features.shape[0] == targets.shape[0] == weights.shape[0]):
        raise ShapeMismatch(f"{features.shape[0]} rows, {targets.shape[0]} targets and {weights.shape[0]} weights.")
    if penalty <= 0:
        raise InvalidRequest(f"A penalty must be positive, got {penalty}.")
    problem = _Problem(features, targets, weights / weights.sum(), _LOSSES[family], penalty)
    at = np.zeros((features.shape[1] + 1, targets.shape[1]))
    if start is not None:
        at[:-1], at[-1] = start.coefficients, start.intercepts
    for _ in range(_NEWTON_STEPS):
        state = problem.state(at)
        if np.abs(state.gradient).max(initial=0.0) <= tolerance:
            break
        step = _solve(problem, state)
        taken = _line_search(problem, at, state, step)
        if taken is None:
            break
        at = taken
    return LinearFit(at[:-1], at[-1])


def mean_loss(fit: LinearFit, features: Floats, targets: Floats, *, weights: Floats, family: Family) -> float:
    """Return the weighted mean loss of a fit on rows, without the penalty."""
    return float(weights @ _LOSSES[family].deviance(fit.scores(features), targets) / weights.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    mean: Floats
    objective: float
    gradient: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    features: Floats
    targets: Floats
    weights: Floats
    loss: _Loss
    penalty: float

    def state(self, at: Floats) -> _State:
        scores = self.features @ at[:-1] + at[-1]
        mean = self.loss.mean(scores)
        residual = self.weights[:, None] * (mean - self.targets)
        gradient = self._back(residual)
        gradient[:-1] += self.penalty * at[:-1]
        return _State(mean, self._objective(scores, at), gradient)

    def objective(self, at: Floats) -> float:
        return self._objective(self.features @ at[:-1] + at[-1], at)

    def curved(self, state: _State, direction: Floats) -> Floats:
        """Return the second derivative times a direction."""
        change = self.features @ direction[:-1] + direction[-1]
        out = self._back(self.weights[:, None] * self.loss.curvature(state.mean, change))
        out[:-1] += self.penalty * direction[:-1]
        return out

    def diagonal(self, state: _State) -> Floats:
        """Return roughly the diagonal of the second derivative, the curvature taken as equal over rows."""
        ones = np.eye(self.targets.shape[1])
        curvature = np.stack(
            [self.weights @ self.loss.curvature(state.mean, np.broadcast_to(e, state.mean.shape)) for e in ones]
        )
        own = np.maximum(np.diag(curvature), 1e-12)
        moments = self.weights @ np.square(self.features)
        return np.concatenate([moments[:, None] * own + self.penalty, own[None, :]])

    def _objective(self, scores: Floats, at: Floats) -> float:
        loss = float(self.weights @ self.loss.deviance(scores, self.targets))
        return loss + self.penalty / 2 * float(np.vdot(at[:-1], at[:-1]))

    def _back(self, per_row: Floats) -> Floats:
        return np.concatenate([self.features.T @ per_row, per_row.sum(axis=0, keepdims=True)])


def _solve(problem: _Problem, state: _State) -> Floats:
    """Return about the Newton step, by conjugate gradients that stop early while the gradient is still large."""
    diagonal = problem.diagonal(state)
    residual = -state.gradient
    norm = float(np.linalg.norm(residual))
    enough = norm * min(0.1, norm)
    step = np.zeros_like(residual)
    scaled = residual / diagonal
    direction, product = scaled, float(np.vdot(residual, scaled))
    for _ in range(_CG_STEPS):
        curved = problem.curved(state, direction)
        along = float(np.vdot(direction, curved))
        if along <= 0:
            # Only rounding, or the free shift of all intercepts of a softmax, has no curvature.
            break
        length = product / along
        step = step + length * direction
        residual = residual - length * curved
        if float(np.linalg.norm(residual)) <= enough:
            break
        scaled = residual / diagonal
        previous, product = product, float(np.vdot(residual, scaled))
        direction = scaled + product / previous * direction
    return step


def _line_search(problem: _Problem, at: Floats, state: _State, step: Floats) -> Floats | None:
    """Return the first point along the step that lowers the objective enough, or None where only rounding is left."""
    slope = float(np.vdot(state.gradient, step))
    share = 1.0
    for _ in range(_HALVINGS):
        candidate = at + share * step
        if problem.objective(candidate) <= state.objective + _ARMIJO * share * slope:
            return candidate
        share /= 2
    return None


def _sigmoid(scores: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * scores))


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _log_sum(scores: Floats) -> Floats:
    top = scores.max(axis=1)
    return top + np.log(np.exp(scores - top[:, None]).sum(axis=1))


_LOSSES: dict[Family, _Loss] = {
    "squared": _Loss(
        mean=lambda scores: scores,
        deviance=lambda scores, targets: 0.5 * np.square(scores - targets)[:, 0],
        curvature=lambda _, change: change,
    ),
    "logistic": _Loss(
        mean=_sigmoid,
        deviance=lambda scores, targets: (np.logaddexp(0, scores) - targets * scores)[:, 0],
        curvature=lambda mean, change: mean * (1 - mean) * change,
    ),
    "softmax": _Loss(
        mean=_softmax,
        deviance=lambda scores, targets: _log_sum(scores) - np.einsum("ij,ij->i", scores, targets),
        curvature=lambda mean, change: mean * (change - np.einsum("ij,ij->i", mean, change)[:, None]),
    ),
}
