"""Where SAELens measures the same quantity, it finds the same number."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.methods.dictionary_evaluation.geometry import geometry
from interp_lab.methods.dictionary_evaluation.reconstruction import ReconstructionSum
from interp_lab.methods.dictionary_evaluation.recovery import DetectionSum, directions_recovered
from interp_lab.methods.dictionary_evaluation.sparsity import SparsitySum
from interp_lab.workflows.evaluation.spliced import _predictions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sae_lens.evals import ExplainedVarianceCalculator, _kl
    from sae_lens.synthetic.evals import (
        DeadLatentsCalculator,
        L0Calculator,
        ShrinkageCalculator,
        compute_classification_metrics,
        feature_uniqueness,
        mean_correlation_coefficient,
    )

N, WIDTH, LATENTS, FEATURES = 500, 24, 60, 40


@pytest.fixture(scope="module")
def made() -> tuple[Dictionary, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    config = DictionaryConfig(d_in=WIDTH, d_out=WIDTH, n_latents=LATENTS, k=6)
    decoder = torch.nn.functional.normalize(torch.randn(LATENTS, WIDTH, generator=draw), dim=1)
    dictionary = Dictionary(
        config, decoder.T.contiguous(), decoder, torch.randn(WIDTH, generator=draw), b_enc=torch.zeros(LATENTS)
    )
    return dictionary, torch.randn(N, WIDTH, generator=draw) + 2


def test_reconstruction_and_sparsity_are_those_of_sae_lens(made: tuple[Dictionary, torch.Tensor]) -> None:
    dictionary, x = made
    groups = np.arange(N) // 10
    total, fired = ReconstructionSum(N // 10, WIDTH), SparsitySum(LATENTS)
    theirs = ExplainedVarianceCalculator(), ShrinkageCalculator(), L0Calculator(), DeadLatentsCalculator(LATENTS)
    for start in range(0, N, 128):
        block, own = x[start : start + 128], groups[start : start + 128]
        codes, output = dictionary.encode_and_reconstruct(block)
        total.add(block, output, own)
        fired.add(codes.indptr, codes.latents, codes.values, groups=own, prompts=own)
        theirs[0].add_batch(output, block)
        theirs[1].add_batch(output, block)
        theirs[2].add_batch(dictionary.encode(block))
        theirs[3].add_batch(dictionary.encode(block))
    found, codes = total.figures(), fired.figures()
    assert 1 - found.fvu.ratio == pytest.approx(theirs[0].compute(), abs=1e-6)
    assert found.norm_ratio.mean == pytest.approx(theirs[1].compute(), abs=1e-6)
    assert codes.l0.mean == pytest.approx(theirs[2].compute())
    assert len(codes.unfired) == theirs[3].compute()
    output = dictionary.reconstruct(x)
    assert found.cosine.mean == pytest.approx(float(torch.cosine_similarity(output, x).mean()), abs=1e-6)
    lies = geometry(dictionary.W_enc, dictionary.W_dec, same_space=True)
    assert lies.encoder_decoder == pytest.approx(np.ones(LATENTS), abs=1e-5)


def test_matching_and_detection_are_those_of_sae_lens(made: tuple[Dictionary, torch.Tensor]) -> None:
    dictionary, x = made
    draw = torch.Generator().manual_seed(1)
    truth = torch.randn(FEATURES, WIDTH, generator=draw)
    true = torch.relu(x @ truth.T - 4)
    codes = dictionary.encode(x)
    decoder, directions = dictionary.W_dec.numpy(), truth.numpy()
    found = directions_recovered(decoder, directions, np.full(FEATURES, 0.1))
    assert found.mcc == pytest.approx(mean_correlation_coefficient(dictionary.W_dec, truth), abs=1e-6)
    assert found.uniqueness == pytest.approx(feature_uniqueness(dictionary.W_dec, truth))
    counted = DetectionSum(decoder, directions)
    counted.add((codes > 0).numpy(), (true > 0).numpy())
    theirs, ours = compute_classification_metrics(codes, true, dictionary.W_dec, truth), counted.figures()
    assert ours.precision == pytest.approx(theirs.precision, abs=1e-6)
    assert ours.recall == pytest.approx(theirs.recall, abs=1e-6)
    assert ours.f1 == pytest.approx(theirs.f1_score, abs=1e-6)
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-6)


def test_the_divergence_of_predictions_is_that_of_sae_lens() -> None:
    draw = torch.Generator().manual_seed(2)
    clean, changed = torch.randn(2, 30, 50, generator=draw)
    found = _predictions(changed.log_softmax(-1), clean.log_softmax(-1), torch.arange(30))
    np.testing.assert_allclose(found.divergence, _kl(clean, changed), atol=1e-6)
    np.testing.assert_allclose(
        found.loss, torch.nn.functional.cross_entropy(changed, torch.arange(30), reduction="none"), atol=1e-5
    )
