"""Measures of dictionaries equal plain computations on all tokens at once, however the tokens come in blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.errors import NonFiniteActivations, TooFewGroups
from interp_lab.methods.dictionary_evaluation.behaviour import Predictions, effect, joined, recovered
from interp_lab.methods.dictionary_evaluation.choice import most_different, random_columns
from interp_lab.methods.dictionary_evaluation.geometry import geometry
from interp_lab.methods.dictionary_evaluation.perturbation import latents_of_class, perturbation, without_latents
from interp_lab.methods.dictionary_evaluation.reconstruction import Reconstruction, ReconstructionSum
from interp_lab.methods.dictionary_evaluation.recovery import DetectionSum, directions_recovered
from interp_lab.methods.dictionary_evaluation.sparsity import Sparsity, SparsitySum

N, WIDTH, LATENTS = 60, 7, 11


def tensors(seed: int, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(N, WIDTH, generator=draw) + offset
    return x, x * 0.8 + 0.1 * torch.randn(N, WIDTH, generator=draw), np.arange(N) // 5


def reconstruction(x: torch.Tensor, made: torch.Tensor, groups: np.ndarray, step: int) -> Reconstruction:
    total = ReconstructionSum(int(groups.max()) + 1, WIDTH)
    for start in range(0, N, step):
        part = slice(start, start + step)
        total.add(x[part], made[part], groups[part])
    return total.figures()


@given(st.integers(1, N), st.integers(0, 5), st.sampled_from([0.0, 300.0]))
@settings(max_examples=20, deadline=None)
def test_reconstruction_equals_numpy_in_blocks_of_any_size(step: int, seed: int, offset: float) -> None:
    x, made, groups = tensors(seed, offset)
    found = reconstruction(x, made, groups, step)
    a, b = x.double().numpy(), made.double().numpy()
    assert found.fvu.ratio == pytest.approx(((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum(), rel=1e-9)
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    assert found.cosine.mean == pytest.approx(((a * b).sum(1) / norms[0] / norms[1]).mean(), rel=1e-9)
    assert found.norm_ratio.mean == pytest.approx((norms[1] / norms[0]).mean(), rel=1e-9)
    assert found.bias == pytest.approx((b**2).sum() / (a * b).sum(), rel=1e-9)
    assert found.squared_error == pytest.approx(((a - b) ** 2).sum(1).mean(), rel=1e-9)
    assert (found.n_tokens, found.fvu.n_groups) == (N, 12)
    assert found.fvu.low < found.fvu.ratio < found.fvu.high


def test_an_exact_reconstruction_leaves_nothing_and_the_mean_explains_nothing() -> None:
    x, _, groups = tensors(0)
    exact = reconstruction(x, x, groups, 13)
    assert (exact.fvu.ratio, exact.bias, exact.norm_ratio.mean) == (0.0, pytest.approx(1), 1.0)
    assert exact.cosine.mean == pytest.approx(1)
    assert reconstruction(x, x.mean(0).expand_as(x), groups, 13).fvu.ratio == pytest.approx(1, abs=1e-6)


def test_activations_without_variance_or_that_are_not_finite_are_refused() -> None:
    x, made, groups = tensors(0)
    constant = torch.full_like(x, 1 / 3)
    with pytest.raises(TooFewGroups):
        reconstruction(constant, constant, groups, 9)
    x[3, 2] = torch.nan
    with pytest.raises(NonFiniteActivations):
        reconstruction(x, made, groups, 9)


def codes(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rate = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 0.6, 1.0])
    return (rng.random((N, LATENTS)) < rate) * rng.uniform(0.1, 2, (N, LATENTS))


def sparsity(values: np.ndarray, step: int) -> Sparsity:
    groups, total = np.arange(N) // 5, SparsitySum(LATENTS)
    for start in range(0, N, step):
        block = values[start : start + step]
        indptr = np.concatenate([[0], (block > 0).sum(1).cumsum()])
        own = groups[start : start + step]
        prompts = np.arange(N)[start : start + step] // 2
        pairs = torch.from_numpy(np.nonzero(block)[1]), torch.from_numpy(block[block > 0])
        total.add(torch.from_numpy(indptr), *pairs, groups=own, prompts=prompts)
    return total.figures()


@given(st.integers(1, N), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_sparsity_equals_numpy_in_blocks_of_any_size(step: int, seed: int) -> None:
    values = codes(seed)
    fires = values > 0
    found = sparsity(values, step)
    assert found.l0.mean == pytest.approx(fires.sum(1).mean())
    assert found.l0_quantiles == pytest.approx(tuple(np.quantile(fires.sum(1), [0.05, 0.25, 0.5, 0.75, 0.95])))
    assert found.l1 == pytest.approx(values.sum(1).mean())
    assert np.array_equal(found.density, fires.mean(0))
    in_prompts = fires.reshape(-1, 2, LATENTS).any(1).sum(0)
    np.testing.assert_allclose(found.per_prompt, fires.sum(0) / np.maximum(in_prompts, 1))
    assert np.array_equal(found.unfired, np.flatnonzero(~fires.any(0)))
    assert np.array_equal(found.dense, np.flatnonzero(fires.mean(0) > 0.1))
    assert sum(found.histogram.counts) == int(fires.any(0).sum())
    for low, high, count in zip(found.histogram.edges, found.histogram.edges[1:], found.histogram.counts, strict=False):
        inside = (found.density >= low) & ((found.density < high) | (high == 1.0)) & (found.density > 0)
        assert count == inside.sum()


def test_geometry_equals_a_full_matrix_of_cosines() -> None:
    rng = np.random.default_rng(1)
    decoder = rng.standard_normal((600, WIDTH)).astype(np.float32)
    encoder = rng.standard_normal((WIDTH, 600)).astype(np.float32)
    found = geometry(torch.from_numpy(encoder), torch.from_numpy(decoder), same_space=True)
    rows = decoder / np.linalg.norm(decoder, axis=1, keepdims=True)
    columns = (encoder / np.linalg.norm(encoder, axis=0)).T
    for units, nearest in ((rows, found.decoder_neighbour), (columns, found.encoder_neighbour)):
        cosines = units @ units.T
        np.fill_diagonal(cosines, -np.inf)
        np.testing.assert_allclose(nearest, cosines.max(1), atol=1e-5)
    assert found.encoder_decoder is not None
    np.testing.assert_allclose(found.encoder_decoder, (rows * columns).sum(1), atol=1e-6)
    squares = np.linalg.svd(rows.astype(np.float64), compute_uv=False) ** 2
    assert found.effective_dimensions == pytest.approx(squares.sum() ** 2 / (squares**2).sum(), rel=1e-5)


def test_an_orthonormal_decoder_spans_its_width_and_copies_of_one_row_span_one_dimension() -> None:
    eye = torch.eye(WIDTH)
    assert geometry(eye, eye, same_space=True).effective_dimensions == pytest.approx(WIDTH)
    copies = torch.ones(5, WIDTH)
    found = geometry(copies.T, copies, same_space=False)
    assert found.effective_dimensions == pytest.approx(1)
    assert found.encoder_decoder is None
    assert found.decoder_neighbour == pytest.approx(np.ones(5))


def test_loss_recovered_is_one_for_the_clean_run_nothing_for_the_ablation_and_half_between() -> None:
    rng = np.random.default_rng(0)
    clean, ablated = rng.random(N), rng.random(N) + 3
    clean[::6] = np.nan
    groups = np.arange(N) // 6
    runs = {
        "clean": Predictions(clean, np.zeros(N)),
        "ablated": Predictions(ablated, np.full(N, 2.0)),
        "half": Predictions((clean + ablated) / 2, np.full(N, 1.0)),
    }
    for name, share in (("clean", 1.0), ("half", 0.5), ("ablated", 0.0)):
        found = recovered(runs[name], runs["ablated"], runs["clean"], groups)
        assert found.loss is not None
        assert found.divergence is not None
        assert found.loss.ratio == pytest.approx(share)
        assert found.divergence.ratio == pytest.approx(share)
    kept = ~np.isnan(clean)
    found = effect(runs["ablated"], runs["clean"], groups)
    assert found.change.mean == pytest.approx((ablated - clean)[kept].mean())
    assert found.loss.n_rows == kept.sum()
    assert found.divergence.mean == 2.0


def test_an_ablation_that_does_no_harm_gives_no_share() -> None:
    clean = Predictions(np.ones(N), np.zeros(N))
    found = recovered(clean, clean, clean, np.arange(N) // 6)
    assert found.loss is None
    assert found.divergence is None


def test_predictions_of_passes_are_joined_in_order() -> None:
    parts = {"a": [Predictions(np.array([float(i)]), np.array([float(-i)])) for i in range(3)]}
    assert joined(parts)["a"].loss.tolist() == [0, 1, 2]


def test_true_directions_are_recovered_whatever_their_order_and_random_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = np.linalg.qr(rng.standard_normal((32, 32)))[0][:10].astype(np.float32)
    density = np.full(10, 0.1)
    density[9] = 1e-4
    found = directions_recovered(truth[rng.permutation(10)] * 3, truth, density)
    assert (found.mcc, found.uniqueness, found.recovered) == pytest.approx((1, 1, 1))
    assert (found.n_counted, found.split, found.latents_per_feature) == (9, 0, 1)
    random = directions_recovered(rng.standard_normal((10, 32)).astype(np.float32), truth, density)
    assert (random.recovered, random.split) == (0, 0)
    assert random.mcc < 0.5


def test_a_feature_with_two_latents_is_split_and_counts_once() -> None:
    truth = np.eye(8, dtype=np.float32)[:4]
    twice = np.concatenate([truth, truth[:1] * 0.5, -truth[1:2]])
    found = directions_recovered(twice, truth, np.full(4, 0.1))
    assert found.uniqueness == pytest.approx(4 / 6)
    assert found.split == pytest.approx(1 / 4)
    assert found.latents_per_feature == pytest.approx(5 / 4)  # the opposite direction is no latent of the feature


def test_detectors_equal_counts_by_hand() -> None:
    rng = np.random.default_rng(3)
    truth = np.eye(4, dtype=np.float32)
    fires, true = rng.random((50, 4)) < 0.4, rng.random((50, 4)) < 0.5
    total = DetectionSum(truth, truth)
    for part in (slice(0, 20), slice(20, 50)):
        total.add(fires[part], true[part])
    found = total.figures()
    both = (fires & true).sum(0)
    precision, recall = both / fires.sum(0), both / true.sum(0)
    assert found.precision == pytest.approx(precision.mean())
    assert found.recall == pytest.approx(recall.mean())
    assert found.f1 == pytest.approx((2 * precision * recall / (precision + recall)).mean())
    assert found.accuracy == pytest.approx((fires == true).mean())


def test_the_columns_chosen_are_those_that_differ_and_random_ones_vary() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(40) < 20
    values = rng.standard_normal((40, 9)) * 0.01
    values[positive, 4] += 1
    values[positive, 7] -= 2
    values[:, 0] = 3.0
    assert most_different(values, positive, 2).tolist() == [7, 4]
    sets = random_columns(values, 3, draws=50, seed=1)
    assert {len(set(each.tolist())) for each in sets} == {3}
    assert set(np.concatenate(sets).tolist()) == set(range(1, 9))
    assert all(np.array_equal(a, b) for a, b in zip(sets, random_columns(values, 3, draws=50, seed=1), strict=True))


def test_taking_latents_away_is_exact_and_hits_the_probe_they_feed() -> None:
    rng = np.random.default_rng(0)
    decoder, codes_ = np.eye(6), rng.random((30, 6))
    positive = np.arange(30) < 15
    codes_[positive, 2] += 3
    activations = codes_ @ decoder + rng.standard_normal((30, 6))
    chosen = latents_of_class(codes_, positive, np.array([-1.0, 0, 2, 0, 0, 0]), 3)
    assert chosen.tolist() == [2]
    left = without_latents(activations, codes_, decoder, chosen)
    np.testing.assert_allclose(activations - left, codes_ * (np.arange(6) == 2))
    found = perturbation(np.array([0.9, 0.8, 0.7]), np.array([0.5, 0.8, 0.6]), own=0)
    assert (found.intended, found.unintended, found.total) == pytest.approx((0.4, 0.05, 0.35))
