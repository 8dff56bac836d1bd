# pyright: standard
"""Rows of feature values: who fires, how strongly, and what the hierarchy allows."""

from __future__ import annotations

import numpy as np

from interp_lab.worlds.sparse.recipe import Floats, Recipe

_ROWS_AT_ONCE = 8192


def draw_features(recipe: Recipe, rows: int, rng: np.random.Generator) -> Floats:
    """Return feature values `(rows, features)`, zero where a feature does not fire."""
    return np.concatenate(
        [_block(recipe, min(_ROWS_AT_ONCE, rows - first), rng) for first in range(0, rows, _ROWS_AT_ONCE)]
    )


def _block(recipe: Recipe, rows: int, rng: np.random.Generator) -> Floats:
    common = rng.standard_normal((rows, recipe.factor.shape[1]), dtype=np.float32)
    own = rng.standard_normal((rows, len(recipe.rates)), dtype=np.float32)
    fires = common @ recipe.factor.T + own * recipe.private > recipe.thresholds
    noise = rng.standard_normal((rows, len(recipe.rates)), dtype=np.float32)
    values = np.maximum(recipe.means + recipe.deviations * noise, 0.0) * fires
    for level in recipe.hierarchy.levels:
        _follow_parents(values, recipe, level)
        _exclude_siblings(values, recipe, level, rng)
    return values


def _follow_parents(values: Floats, recipe: Recipe, level: np.ndarray) -> None:
    parents = recipe.hierarchy.parents[level]
    above = values[:, parents]
    values[:, level] *= above / recipe.means[parents] if recipe.dials.scaled else above > 0


def _exclude_siblings(values: Floats, recipe: Recipe, level: np.ndarray, rng: np.random.Generator) -> None:
    """Of several active children of an exclusive parent, a random one stays."""
    for parent in np.unique(recipe.hierarchy.parents[level]).tolist():
        if parent not in recipe.hierarchy.exclusive:
            continue
        siblings = recipe.hierarchy.children(parent)
        active = values[:, siblings] > 0
        winner = (rng.random(active.shape) * active).argmax(axis=1)
        values[:, siblings] *= np.eye(len(siblings), dtype=np.float32)[winner]
