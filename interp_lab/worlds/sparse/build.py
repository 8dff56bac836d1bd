# pyright: standard
"""Sparse worlds and their variants: a dictionary, a transcoder, a crosscoder, and one that absorbs at known rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.contracts.worlds import Check, DictionaryTruth, SparseKind
from interp_lab.corpus.dice import Dice
from interp_lab.worlds.folder import ARRAYS, TRUE_ARRAYS, TRUTH, Arrays, World, array_bytes, truth_bytes
from interp_lab.worlds.sparse.recipe import Floats, Recipe, draw_directions, draw_recipe
from interp_lab.worlds.sparse.sample import draw_features

_RATE_TOLERANCE = 0.15
"""Share by which the mean number of active features outside the trees' branches may miss the sum of their rates."""

_EXACT = 1e-3


@dataclass(frozen=True)
class Sparse:
    """A sparse world in memory."""

    recipe: Recipe
    features: Floats
    """True feature values, `(rows, features)`."""
    visible: Arrays
    sealed: Arrays
    checks: tuple[Check, ...] = ()
    absorption: dict[str, float] = field(default_factory=dict[str, float])


def sparse_world(kind: SparseKind, dials: DictionaryDials, seed: int) -> World:
    """Return the files of a sparse world of that kind."""
    built = build_sparse(kind, dials, seed)
    truth = DictionaryTruth(
        kind=kind,
        dials=built.recipe.dials,
        tensors={name: MEANING[name] for name in (*built.sealed, "features")},
        l0=float((built.features > 0).sum(axis=1).mean()),
        parents=tuple(built.recipe.hierarchy.parents.tolist()),
        absorption=built.absorption,
        checks=(*_common_checks(built), *built.checks),
    )
    return World(
        kind=kind,
        seed=seed,
        open_files={ARRAYS: array_bytes(built.visible)},
        sealed_files={
            TRUTH: truth_bytes(truth),
            TRUE_ARRAYS: array_bytes({**built.sealed, "features": built.features}),
        },
    )


def build_sparse(kind: SparseKind, dials: DictionaryDials, seed: int) -> Sparse:
    """Return a sparse world of that kind."""
    rng = np.random.default_rng(Dice(seed, f"worlds/{kind}").integer(0, 2**31))
    return VARIANTS[kind](dials, rng)


def _dictionary(dials: DictionaryDials, rng: np.random.Generator) -> Sparse:
    recipe = draw_recipe(dials, rng)
    directions = _directions(dials, rng)
    bias = _bias(dials, rng)
    features = draw_features(recipe, dials.rows, rng)
    return Sparse(
        recipe, features, {"activations": features @ directions + bias}, {"directions": directions, "bias": bias}
    )


def _transcoder(dials: DictionaryDials, rng: np.random.Generator) -> Sparse:
    """Every input feature drives one or two output features, which have directions of their own."""
    recipe = draw_recipe(dials, rng)
    read, write = _directions(dials, rng), _directions(dials, rng)
    weights = np.zeros((dials.features, dials.features), dtype=np.float32)
    weights[np.arange(dials.features), rng.permutation(dials.features)] = 1.0
    second = rng.random(dials.features) < 0.5
    weights[np.flatnonzero(second), rng.permutation(dials.features)[: second.sum()]] += 0.5
    features = draw_features(recipe, dials.rows, rng)
    visible = {"inputs": features @ read, "outputs": features @ weights @ write}
    return Sparse(recipe, features, visible, {"directions": read, "output_directions": write, "map": weights})


def _crosscoder(dials: DictionaryDials, rng: np.random.Generator) -> Sparse:
    """Two models of one width; a known share of the features exists in one of them only."""
    recipe = draw_recipe(dials, rng)
    order = rng.permutation(dials.features)
    n_exclusive = round(dials.exclusive_share * dials.features)
    owner = np.zeros(dials.features, dtype=np.int64)
    owner[order[: n_exclusive // 2]], owner[order[n_exclusive // 2 : n_exclusive]] = 1, 2
    a, b = (_directions(dials, rng) * (owner != other)[:, None] for other in (2, 1))
    features = draw_features(recipe, dials.rows, rng)
    visible = {"activations_a": features @ a, "activations_b": features @ b}
    absent = [np.linalg.norm(vectors[owner == other]) for vectors, other in ((a, 2), (b, 1))]
    check = Check(name="length of exclusive features in the other model", expected=0.0, measured=float(max(absent)),
                  tolerance=0.0)  # fmt: skip
    sealed = {"directions_a": a.astype(np.float32), "directions_b": b.astype(np.float32), "owner": owner}
    return Sparse(recipe, features, visible, sealed, (check,))


def _absorption(dials: DictionaryDials, rng: np.random.Generator) -> Sparse:
    """A dictionary with a second latent for every child that carries its parent too, used on a known share of rows."""
    simple = {"depth": 1, "deviation": (0.0, 0.0), "exclusive": 1.0, "scaled": True}
    dials = dials.model_copy(update=simple)
    recipe = draw_recipe(dials, rng)
    parents = recipe.hierarchy.parents
    directions = _directions(dials, rng)
    features = draw_features(recipe, dials.rows, rng)
    children = np.flatnonzero(parents >= 0)
    rates = rng.random(len(children)).astype(np.float32)
    absorbed = (features[:, children] > 0) & (rng.random((dials.rows, len(children))) < rates)
    rows, places = np.nonzero(absorbed)
    codes = np.concatenate([features, features[:, children] * absorbed], axis=1)
    codes[rows, children[places]] = 0.0
    codes[rows, parents[children[places]]] = 0.0
    share = (recipe.means[parents[children]] / recipe.means[children])[:, None]
    decoder = np.concatenate([directions, directions[children] + share * directions[parents[children]]])
    fired = (features[:, children] > 0).sum(axis=0)
    known = {str(c): float(n / f) for c, n, f in zip(children, absorbed.sum(axis=0), fired, strict=True) if f}
    activations = features @ directions
    visible = {"activations": activations, "codes": codes, "decoder": decoder, "fires": features > 0}
    error = float(np.abs(codes @ decoder - activations).max())
    missing = {str(c): _parent_missing(codes, features, c, int(parents[c])) for c in children.tolist()}
    worst = max((abs(missing[child] - share) for child, share in known.items()), default=0.0)
    checks = (
        Check(name="the absorbing dictionary's error", expected=0.0, measured=error, tolerance=_EXACT),
        Check(name="largest error of a recorded absorption rate", expected=0.0, measured=worst, tolerance=1e-6),
    )
    return Sparse(recipe, features, visible, {"directions": directions, "rates": rates}, checks, known)


VARIANTS: Mapping[SparseKind, Callable[[DictionaryDials, np.random.Generator], Sparse]] = {
    "dictionary": _dictionary,
    "transcoder": _transcoder,
    "crosscoder": _crosscoder,
    "absorption": _absorption,
}

MEANING = {
    "features": "true value of every feature on every row",
    "directions": "unit vector of every feature",
    "bias": "constant part of the activations",
    "output_directions": "unit vector of every output feature",
    "map": "weight from every input feature to every output feature",
    "directions_a": "unit vector of every feature in model a; zero where it has none",
    "directions_b": "unit vector of every feature in model b; zero where it has none",
    "owner": "0 shared, 1 only in a, 2 only in b",
    "rates": "probability with which each child was to absorb its parent, in the order of the children",
}
"""What every sealed tensor is."""


def _parent_missing(codes: Floats, features: Floats, child: int, parent: int) -> float:
    on = features[:, child] > 0
    return float((codes[on, parent] == 0).mean()) if on.any() else 0.0


def _directions(dials: DictionaryDials, rng: np.random.Generator) -> Floats:
    return draw_directions(
        dials.features, dials.width, steps=dials.orthogonal_steps, rate=dials.orthogonal_rate, rng=rng
    )


def _bias(dials: DictionaryDials, rng: np.random.Generator) -> Floats:
    draw = rng.standard_normal(dials.width).astype(np.float32)
    return (draw / np.linalg.norm(draw) * dials.bias).astype(np.float32)


def _common_checks(built: Sparse) -> Iterator[Check]:
    features, hierarchy = built.features, built.recipe.hierarchy
    fires = features > 0
    free = hierarchy.parents < 0
    wanted, measured = float(built.recipe.rates[free].sum()), float(fires[:, free].sum(axis=1).mean())
    yield Check(
        name="active features without a parent per row",
        expected=wanted,
        measured=measured,
        tolerance=_RATE_TOLERANCE * wanted,
    )
    children = np.flatnonzero(hierarchy.parents >= 0)
    orphans = float((fires[:, children] & ~fires[:, hierarchy.parents[children]]).sum())
    yield Check(name="children that fire without their parent", expected=0.0, measured=orphans, tolerance=0.0)
    together = sum(int((fires[:, hierarchy.children(parent)].sum(axis=1) > 1).sum()) for parent in hierarchy.exclusive)
    yield Check(name="exclusive siblings that fire together", expected=0.0, measured=float(together), tolerance=0.0)
