"""Absorption that was built in at known rates is measured at these rates, and is not seen where there is none."""

from __future__ import annotations

from functools import cache

import numpy as np

from interp_lab.contracts.sparse import DictionaryDials
from interp_lab.methods.dictionary_evaluation.absorption import Absorption, AbsorptionSum
from interp_lab.worlds.sparse.build import Sparse, build_sparse

DIALS = DictionaryDials(features=96, width=64, rows=12_000, roots=6, branching=4, orthogonal_steps=50)


@cache
def world(seed: int) -> Sparse:
    return build_sparse("absorption", DIALS, seed)


def measured(seed: int, codes: np.ndarray, decoder: np.ndarray) -> Absorption:
    built = world(seed)
    total = AbsorptionSum(decoder, built.sealed["directions"], built.recipe.hierarchy.parents)
    for start in range(0, len(codes), 5000):
        total.add(codes[start : start + 5000], built.features[start : start + 5000])
    return total.figures()


def test_measured_rates_follow_those_built_in() -> None:
    for seed in (1, 2):
        built = world(seed)
        found = measured(seed, built.visible["codes"], built.visible["decoder"])
        known = np.array([built.absorption[str(child)] for child in found.children])
        assert known.max() - known.min() > 0.5
        assert np.corrcoef(found.rates, known)[0, 1] >= 0.95
        assert np.abs(found.rates - known).mean() < 0.05
        np.testing.assert_allclose(found.rates + found.missed, known, atol=1e-6)


def test_the_true_dictionary_absorbs_nothing() -> None:
    built = world(1)
    found = measured(1, built.features, built.sealed["directions"])
    assert np.all(found.rates == 0)
    assert np.all(found.missed == 0)


def test_latents_that_stand_for_no_parent_are_not_measured() -> None:
    built = world(1)
    rng = np.random.default_rng(0)
    decoder = rng.standard_normal((96, 64)).astype(np.float32)
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    found = measured(1, np.maximum(built.visible["activations"] @ decoder.T, 0), decoder)
    assert np.isnan(found.rates).all()


def test_a_parent_that_goes_missing_is_not_absorbed() -> None:
    built = world(1)
    codes = built.features.copy()
    parents = np.unique(built.recipe.hierarchy.parents[built.recipe.hierarchy.parents >= 0])
    codes[:, parents] = 0
    found = measured(1, codes, built.sealed["directions"])
    assert np.nanmax(found.rates) < 0.1
    assert np.nanmin(found.missed) > 0.9
