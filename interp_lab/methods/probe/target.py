"""What a probe predicts: a number, one of two classes, or one of several, always with the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.auroc import auroc
from interp_lab.statistics.linear_model import Family
from interp_lab.statistics.prediction_score import PredictionScore, auroc_score, balanced_accuracy, r_squared
from interp_lab.statistics.sample import Sample

Task = Literal["regression", "binary", "multiclass"]
FAMILIES: dict[Task, Family] = {"regression": "squared", "binary": "logistic", "multiclass": "softmax"}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One value per example: a number, or the code of a class."""

    task: Task
    values: Floats
    """Numbers, or class codes 0, 1, … as floats; code 1 is the positive class of a binary target."""
    classes: tuple[str, ...] = ()
    """Names of the classes by code; empty for regression."""

    @property
    def n_outputs(self) -> int:
        """Columns of scores that a probe of this target has."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def codes(self) -> Ints:
        """Class codes `(n_examples,)`."""
        return self.values.astype(np.intp)

    def take(self, rows: ArrayLike) -> Target:
        """Return the target of these examples."""
        return Target(self.task, self.values[np.asarray(rows)], self.classes)

    def replaced(self, values: Floats) -> Target:
        """Return a target of the same kind with other values."""
        return Target(self.task, values, self.classes)

    def encoded(self) -> Floats:
        """Return the columns `(n_examples, n_outputs)` that a linear model is fitted to."""
        if self.task == "multiclass":
            return np.eye(len(self.classes))[self.codes]
        return self.values[:, None]

    def weights(self) -> Floats:
        """Return a weight per example, sum 1: classes weigh the same, so that a common class is no better a guess."""
        if self.task == "regression":
            return np.full(self.values.size, 1 / self.values.size)
        counts = np.bincount(self.codes, minlength=len(self.classes))
        present = int(np.count_nonzero(counts))
        return 1 / (present * counts[self.codes].astype(np.float64))


def score_predictions(predicted: Floats, target: Target, groups: ArrayLike, *, level: float = 0.95) -> PredictionScore:
    """Return how well linear scores `(n_examples, n_outputs)` do: R², AUROC, or balanced accuracy of the highest score.

    Raises:
        ShapeMismatch: there is not one row of scores per example.
        LabelsUnusable, TooFewGroups: the examples allow no score of this kind.
    """
    if predicted.shape != (target.values.size, target.n_outputs):
        raise ShapeMismatch(f"Scores of shape {predicted.shape} for {target.values.size} examples.")
    if target.task == "regression":
        return r_squared(predicted[:, 0], target.values, groups, level=level)
    if target.task == "binary":
        return auroc_score(predicted[:, 0], Sample.of(target.values, groups), level=level)
    return balanced_accuracy(predicted.argmax(axis=1), target.codes, groups, level=level)


def quick_scores(predicted: Floats, target: Target) -> Floats:
    """Return the same scores without intervals for many predictions `(n_predictions, n_examples, n_outputs)`."""
    if target.task == "regression":
        around = np.square(target.values - target.values.mean()).sum()
        return 1 - np.square(predicted[:, :, 0] - target.values).sum(axis=1) / around
    if target.task == "binary":
        return auroc(predicted[:, :, 0].T, target.values.astype(np.bool_))
    right = predicted.argmax(axis=2) == target.codes
    own = [right[:, target.codes == code].mean(axis=1) for code in np.unique(target.codes)]
    return np.mean(np.stack(own), axis=0)
