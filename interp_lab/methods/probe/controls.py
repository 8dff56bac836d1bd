"""The same measurement where no information should be: shuffled targets, random directions, the constant guess."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.methods.probe.fit import Linear, Prepared, fit_with
from interp_lab.methods.probe.target import FAMILIES, Target, quick_scores
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.group_shuffle import shuffled_by_group
from interp_lab.statistics.linear_model import COARSE, fit_linear

DRAWS = 20
_READ_OUT_PENALTY = 1e-3
_TOKEN_PRIOR = 1.0


class Spread(NamedTuple):
    """Scores of repeated controls on the held-out examples."""

    mean: float
    low: float
    high: float
    draws: int


def spread_of(controls: list[Linear], values: ArrayLike, target: Target) -> Spread:
    """Return mean, smallest and largest score of the controls on held-out activations `(n_examples, width)`."""
    stacked = np.concatenate([control.directions for control in controls], axis=1)
    intercepts = np.concatenate([control.intercepts for control in controls])
    scores = np.asarray(values, dtype=np.float64) @ stacked + intercepts
    table = scores.reshape(len(scores), len(controls), target.n_outputs).transpose(1, 0, 2)
    found = quick_scores(table, target)
    return Spread(float(found.mean()), float(found.min()), float(found.max()), len(controls))


def shuffled_targets(
    prepared: Prepared, target: Target, groups: ArrayLike, *, penalty: float, seed: int, draws: int = DRAWS
) -> list[Linear]:
    """Return probes of the same penalty, each trained on targets that were dealt anew by group.

    Source: random-label baseline of Zhang et al. (2017), dealt by group; compare Hewitt and Liang (2019).
    """
    rng = np.random.default_rng(seed)
    shuffled = (target.replaced(shuffled_by_group(target.values, groups, rng)) for _ in range(draws))
    return [fit_with(prepared, chance, penalty, tolerance=COARSE) for chance in shuffled]


def random_directions(prepared: Prepared, target: Target, *, seed: int, draws: int = DRAWS) -> list[Linear]:
    """Return read-outs of random directions, as many at a time as the probe has outputs; only their mix is fitted."""
    rng = np.random.default_rng(seed)
    return [_read_out(prepared, target, rng) for _ in range(draws)]


def _read_out(prepared: Prepared, target: Target, rng: np.random.Generator) -> Linear:
    drawn = rng.normal(size=(prepared.mean.size, target.n_outputs))
    along = prepared.project(drawn)
    size = np.sqrt(np.mean(np.square(along), axis=0))
    size = np.where(size > 0, size, 1.0)
    fit = fit_linear(
        along / size, target.encoded(), target.weights(), family=FAMILIES[target.task], penalty=_READ_OUT_PENALTY
    )
    return prepared.linear(drawn @ (fit.coefficients / size[:, None]), fit.intercepts)


def constant_guess(train: Target, held_out: Target) -> float:
    """Return the score of the best guess that looks at nothing: the training mean, or the most common class."""
    if train.task == "regression":
        guess = np.full((1, held_out.values.size, 1), train.values.mean())
        return float(quick_scores(guess, held_out)[0])
    return 0.5 if train.task == "binary" else 1 / np.unique(held_out.codes).size


def token_table(train_tokens: Ints, train: Target, held_out_tokens: Ints) -> Floats:
    """Return what each held-out example's token alone predicts `(n_examples, n_outputs)`, from the training examples.

    The mean target of the token, drawn towards the mean over all tokens as by one example more.
    """
    encoded, weights = train.encoded(), train.weights()
    overall = weights @ encoded
    names, own = np.unique(train_tokens, return_inverse=True)
    per_token = np.bincount(own, weights=weights) * weights.size
    sums = np.stack([np.bincount(own, weights=weights * column) for column in encoded.T], axis=1) * weights.size
    table = (sums + _TOKEN_PRIOR * overall) / (per_token + _TOKEN_PRIOR)[:, None]
    place = np.minimum(np.searchsorted(names, held_out_tokens), names.size - 1)
    return np.where((names[place] == held_out_tokens)[:, None], table[place], overall)
