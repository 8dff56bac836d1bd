"""Crosscoder latents that look exclusive: the real one passes, the two known artefacts are told from it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.methods.latent_scaling import Scaling, decoder_share, latent_scaling, owner_of, side_of

N, D = 400, 16
Matrix = NDArray[np.float64]


def scaled(base: Matrix, changed: Matrix, codes: Matrix, decoders: tuple[Matrix, Matrix]) -> Scaling:
    """Scaling of latent 0, which looks to be the changed model's."""
    bias = np.zeros(D)
    own, other = (side_of(codes, x, decoder, bias) for x, decoder in ((changed, decoders[1]), (base, decoders[0])))
    return latent_scaling(codes, 0, own, other)


def world() -> tuple[Matrix, Matrix]:
    """Codes of two concepts that never fire together, and their directions."""
    rng = np.random.default_rng(0)
    fires = rng.integers(0, 3, N)
    codes = np.stack([(fires == 0) * (1 + rng.random(N)), (fires == 1) * (1 + rng.random(N))], axis=1)
    return codes, np.linalg.qr(rng.normal(size=(D, 2)))[0].T


def test_a_concept_that_only_the_changed_model_has_is_exclusive() -> None:
    codes, directions = world()
    own = np.array([[0.0], [1.0]]) * directions
    found = scaled(codes @ own, codes @ directions, codes, (own, directions))
    assert (found.error, found.reconstruction) == pytest.approx((0, 0), abs=1e-9)
    assert found.artefact is None


def test_complete_shrinkage_is_found_in_the_error_of_the_other_model() -> None:
    codes, directions = world()
    shrunk = np.array([[0.0], [1.0]]) * directions  # the base has the concept, its decoder row does not
    found = scaled(codes @ directions, codes @ directions, codes, (shrunk, directions))
    assert found.error == pytest.approx(1)
    assert found.artefact == "complete_shrinkage"


def test_latent_decoupling_is_found_in_the_reconstruction_of_the_other_model() -> None:
    codes, directions = world()
    split = np.concatenate([codes, codes[:, :1]], axis=1)  # latent 2 is the base's own copy of latent 0
    base = np.stack([0 * directions[0], directions[1], directions[0]])
    changed = np.stack([directions[0], directions[1], 0 * directions[0]])
    found = scaled(codes @ directions, codes @ directions, split, (base, changed))
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.reconstruction == pytest.approx(1)
    assert found.artefact == "latent_decoupling"


def test_the_owner_follows_the_decoder_lengths() -> None:
    share = decoder_share(np.diag([1.0, 0.0, 1.0, 1.0]), np.diag([1.0, 1.0, 0.0, 4.0]))
    assert [owner_of(float(each)) for each in share] == ["shared", "changed", "base", "between"]


def test_models_of_different_width_are_refused() -> None:
    codes, directions = world()
    with pytest.raises(ShapeMismatch):
        latent_scaling(
            codes,
            0,
            side_of(codes, codes, directions, np.zeros(D)),
            side_of(codes, codes, directions[:, :3], np.zeros(3)),
        )
