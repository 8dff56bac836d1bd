"""SAELens' own trainers on the same weights, batches and hyper-parameters lose the same at every step."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, TrainingConfig
from interp_lab.dictionaries.training.trainer import Trainer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
    from sae_lens.saes.matryoshka_batchtopk_sae import (
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
    )
    from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.training.sae_trainer import SAETrainer

D, L, N, STEPS, WINDOW = 16, 64, 128, 50, 6
THEIRS: dict[ArchitectureName, tuple[Any, Any, dict[str, Any]]] = {
    "topk": (TopKTrainingSAE, TopKTrainingSAEConfig, {"k": 4}),
    "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig, {"k": 4}),
    "matryoshka": (MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig,
                   {"k": 4, "matryoshka_widths": [8, 24, 64]}),
    "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig, {"l0_coefficient": 0.1, "l0_warm_up_steps": 10}),
    "relu": (StandardTrainingSAE, StandardTrainingSAEConfig, {"l1_coefficient": 0.2, "l1_warm_up_steps": 10}),
}  # fmt: skip


def _batches() -> list[Tensor]:
    draw = torch.Generator().manual_seed(2)
    directions = torch.randn(48, D, generator=draw)
    return [
        (torch.rand(N, 48, generator=draw) * (torch.rand(N, 48, generator=draw) < 0.08)) @ directions
        for _ in range(STEPS)
    ]


def _their_trainer(architecture: ArchitectureName) -> SAETrainer[Any, Any]:
    sae_class, config_class, extra = THEIRS[architecture]
    torch.manual_seed(3)
    sae = sae_class(config_class(d_in=D, d_sae=L, normalize_activations="none", apply_b_dec_to_input=True, **extra))
    config = SAETrainerConfig(
        total_training_samples=STEPS * N, train_batch_size_samples=N, lr=3e-3, lr_warm_up_steps=5, lr_decay_steps=10,
        lr_end=3e-4, dead_feature_window=WINDOW,
    )  # fmt: skip
    return SAETrainer(config, sae, iter(()))


def _our_trainer(architecture: ArchitectureName, sae: Any, **changes: Any) -> Trainer:
    by_count = "k" in THEIRS[architecture][2]
    config = DictionaryConfig(
        architecture=architecture, d_in=D, d_out=D, n_latents=L, k=4 if by_count else None,
        group_sizes=(8, 16, 40) if architecture == "matryoshka" else (),
    )  # fmt: skip
    settings: dict[str, Any] = {
        "total_tokens": STEPS * N, "batch_tokens": N, "learning_rate": 3e-3, "warmup_steps": 5, "decay_steps": 10,
        "decoder_norm": "free", "normalize": "none", "select": "fp32", "dense_above": 1.0, "tile_rows": 50,
        "sparsity_coefficient": 0.1 if architecture == "jumprelu" else 0.2, "sparsity_warmup_steps": 10,
        "aux_coefficient": 1.0 if by_count else 0.0, "dead_window_tokens": WINDOW * N,
    }  # fmt: skip
    trainer = Trainer(config, TrainingConfig(**{**settings, **changes}))
    weights = {"encoder": sae.W_enc.T, "decoder": sae.W_dec, "b_dec": sae.b_dec, "b_enc": sae.b_enc}
    if architecture == "jumprelu":
        weights["threshold"] = sae.threshold
    trainer.adopt({name: tensor.detach().contiguous() for name, tensor in weights.items()})
    return trainer


@pytest.mark.parametrize("architecture", THEIRS)
def test_every_step_loses_what_the_step_of_sae_lens_loses(architecture: ArchitectureName) -> None:
    theirs = _their_trainer(architecture)
    ours = _our_trainer(architecture, theirs.sae)
    dead = 0.0
    for batch in _batches():
        expected = theirs.step(batch).loss.item()
        theirs.n_training_steps += 1
        found = ours.step(batch)
        assert found.path == "sparse"
        assert found.loss == pytest.approx(expected, rel=1e-4)
        dead = max(dead, found.revival)
    assert dead > 0 or "k" not in THEIRS[architecture][2]
    torch.testing.assert_close(ours.parameters["decoder"], theirs.sae.W_dec.detach(), rtol=1e-2, atol=1e-3)


def test_another_learning_rate_does_not_pass_for_the_same_training() -> None:
    theirs = _their_trainer("topk")
    ours = _our_trainer("topk", theirs.sae, learning_rate=2.9e-3)
    gaps: list[float] = []
    for batch in _batches():
        gaps.append(abs(ours.step(batch).loss / theirs.step(batch).loss.item() - 1.0))
        theirs.n_training_steps += 1
    assert max(gaps) > 1e-3


@pytest.mark.parametrize("select", ["bf16", "int8"])
def test_low_precision_selection_changes_the_loss_by_less_than_half_a_percent(select: str) -> None:
    theirs = _their_trainer("topk")
    ours = _our_trainer("topk", theirs.sae, select=select)
    for batch in _batches():
        expected = theirs.step(batch).loss.item()
        theirs.n_training_steps += 1
        assert ours.step(batch).loss == pytest.approx(expected, rel=5e-3)
