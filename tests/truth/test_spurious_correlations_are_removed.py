"""A planted spurious correlation leaves a probe with its latents, and stays where latents mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp_lab.dictionaries.random_twin import random_twin
from interp_lab.methods.dictionary_evaluation.spurious import Attributes, draw, removal_score
from interp_lab.workflows.evaluation.criteria import Criterion
from interp_lab.workflows.evaluation.spurious import Spurious, remove_spurious

N, WIDTH, WEAK, STRONG = 640, 48, 2.0, 4.0
"""The label stands out more than the criterion, so that a probe trained on both together learns the label."""


def _planted(seed: int = 0) -> tuple[Attributes, np.ndarray, np.ndarray, np.ndarray]:
    """Return attributes, activations, true codes and directions; criterion and label have a latent for either side.

    As in texts about men and women: with a latent for one side only, zero is the other side, not neither.
    """
    rng = np.random.default_rng(seed)
    first, second = (rng.random(N) < 0.5 for _ in range(2))
    directions = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    codes = (rng.random((N, WIDTH)) * (rng.random((N, WIDTH)) < 0.2)).astype(np.float32)
    directions[2:4] = -directions[:2]
    codes[:, :4] = np.stack([WEAK * first, STRONG * second, WEAK * ~first, STRONG * ~second], axis=1)
    noise = 0.4 * rng.standard_normal((N, WIDTH)).astype(np.float32)
    return Attributes(first, second, np.ones(N, dtype=bool)), codes @ directions + noise, codes, directions


def _removed(attributes: Attributes, activations: np.ndarray, codes: np.ndarray, decoder: np.ndarray) -> Spurious:
    rows = np.arange(N)
    criterion = Criterion("planted", attributes.first, rows, rows[: N // 2], rows[N // 2 :], activations, codes)
    return remove_spurious(criterion, "label", attributes, decoder=decoder, seed=0)


def _score(found: Spurious, k: int, of: str) -> float:
    (row,) = (row for row in found.removals if (row.removes, row.k, row.of) == (found.stronger, k, of))
    scores = [each.ratio for each in row.scores if each is not None]
    return float(np.mean(scores))


def test_two_true_latents_free_the_probe_and_random_ones_do_not() -> None:
    attributes, activations, codes, directions = _planted()
    found = _removed(attributes, activations, codes, directions)
    assert found.own["criterion"] > 0.8
    assert found.biased["criterion"] < 0.65
    assert found.stronger == "label"
    assert _score(found, 2, "chosen") > 0.8
    assert abs(_score(found, 2, "random")) < 0.3


def test_latents_with_random_directions_leave_the_bias_where_it_is() -> None:
    attributes, activations, _, _ = _planted()
    sample = torch.from_numpy(activations)
    twin = random_twin(sample, n_latents=4 * WIDTH, l0=12, seed=0)
    found = _removed(attributes, activations, twin.encode(sample).numpy(), twin.W_dec.numpy())
    assert found.biased["criterion"] < 0.65
    for k in (2, 5, 20):
        assert _score(found, k, "chosen") < 0.1


def test_nothing_is_removed_where_the_probe_has_no_bias() -> None:
    attributes, _, codes, directions = _planted()
    codes[:, [1, 3]] = 0
    activations = codes @ directions
    found = _removed(attributes, activations, codes, directions)
    assert found.stronger == "criterion"
    assert found.own["label"] == pytest.approx(0.5, abs=0.15)
    (row,) = (r for r in found.removals if (r.removes, r.k, r.of) == ("label", 2, "chosen"))
    assert row.scores == (None,)


def test_rows_are_drawn_as_many_of_each_kind_and_the_biased_ones_agree() -> None:
    attributes, *_ = _planted()
    drawn = draw(attributes, np.arange(N), seed=3)
    counts = attributes.counts(drawn.balanced)
    assert counts.min() == counts.max() == attributes.counts(np.arange(N)).min()
    assert (attributes.first[drawn.biased] == attributes.second[drawn.biased]).all()
    assert attributes.first[drawn.biased].mean() == 0.5
    assert np.array_equal(drawn.biased, draw(attributes, np.arange(N), seed=3).biased)


def test_the_score_is_the_share_of_the_lost_accuracy_that_comes_back() -> None:
    clean = np.ones(8, dtype=bool)
    original = np.arange(8) < 4
    groups = np.arange(8)
    for n_right, share in ((4, 0.0), (6, 0.5), (8, 1.0), (2, -0.5)):
        found = removal_score(np.arange(8) < n_right, original, clean, groups)
        assert found is not None
        assert found.ratio == pytest.approx(share)
    assert removal_score(clean, clean, clean, groups) is None
