# pyright: standard
"""One dictionary by this project's trainer or by SAELens': the same architecture, rows, order, batch and schedule."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from worlds import DIALS, N_LATENTS, Stream

from interp_lab.contracts.dictionaries import ArchitectureName, DictionaryConfig, TrainingConfig
from interp_lab.dictionaries.dictionary import Dictionary

TrainerName = Literal["interp-lab", "sae-lens"]
TRAINERS: tuple[TrainerName, ...] = ("interp-lab", "sae-lens")
ARCHITECTURES: tuple[ArchitectureName, ...] = ("relu", "topk", "batchtopk", "matryoshka")
BATCH, RATE = 1024, 3e-3
WIDTHS = (16, 32, 64, N_LATENTS)
"""Nested prefixes of Matryoshka."""
START_OF_NESTED = {"decoder_norm": "free", "initial_decoder_norm": 0.1, "pre_bias": "zero", "aux_coefficient": 1.0}
"""Settings of our Matryoshka: how SAELens starts and revives too. Found on development seeds."""
WINDOW_STEPS = 100
"""A latent that did not fire for so many steps is dead."""


class Run(NamedTuple):
    """One dictionary to train."""

    trainer: TrainerName
    architecture: ArchitectureName
    seed: int
    """Of weights and order of rows."""
    k: int
    penalty: float
    """Weight of relu's L1; nothing to the others."""
    steps: int


def train(run: Run, folder: Path) -> Dictionary:
    """Return the dictionary that a run makes of the world in a folder."""
    stream = Stream(folder, BATCH, run.seed)
    return _ours(run, stream) if run.trainer == "interp-lab" else _theirs(run, stream)


def _ours(run: Run, stream: Stream) -> Dictionary:
    from interp_lab.dictionaries.training.trainer import Trainer

    first = stream.batch()
    by_count = run.architecture != "relu"
    groups = tuple(b - a for a, b in zip((0, *WIDTHS), WIDTHS, strict=False))
    config = DictionaryConfig(
        architecture=run.architecture, d_in=first.shape[1], d_out=first.shape[1], n_latents=N_LATENTS,
        k=run.k if by_count else None, group_sizes=groups if run.architecture == "matryoshka" else (),
    )  # fmt: skip
    training = TrainingConfig(
        total_tokens=run.steps * BATCH, batch_tokens=BATCH, learning_rate=RATE, decay_steps=run.steps // 3,
        normalize="none", decoder_norm="unit" if by_count else "free", sparsity_coefficient=run.penalty,
        sparsity_warmup_steps=run.steps // 10, dead_window_tokens=WINDOW_STEPS * BATCH, seed=run.seed,
    )  # fmt: skip
    if run.architecture == "matryoshka":
        training = training.model_copy(update=START_OF_NESTED)
    trainer = Trainer(config, training)
    trainer.step(first)
    for _ in range(run.steps - 1):
        trainer.step(stream.batch())
    return trainer.dictionary()


def _theirs(run: Run, stream: Stream) -> Dictionary:
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    from interp_lab.dictionaries.formats.saelens import load_dictionary

    torch.manual_seed(run.seed)
    sae = _their_sae(run)
    config = SAETrainerConfig(
        total_training_samples=run.steps * BATCH, train_batch_size_samples=BATCH, lr=RATE, lr_end=0.0,
        lr_decay_steps=run.steps // 3, dead_feature_window=WINDOW_STEPS,
    )  # fmt: skip
    trainer: Any = SAETrainer(config, sae, iter(()))
    for _ in range(run.steps):
        trainer.step(stream.batch())
        trainer.n_training_steps += 1
    with tempfile.TemporaryDirectory() as folder:
        sae.save_inference_model(folder)
        return load_dictionary(Path(folder))


def _their_sae(run: Run) -> Any:
    from sae_lens.saes import batchtopk_sae, matryoshka_batchtopk_sae, standard_sae, topk_sae

    common: dict[str, Any] = {
        "d_in": DIALS.width, "d_sae": N_LATENTS, "normalize_activations": "none", "apply_b_dec_to_input": True,
    }  # fmt: skip
    if run.architecture == "relu":
        penalty = {"l1_coefficient": run.penalty, "l1_warm_up_steps": run.steps // 10}
        return standard_sae.StandardTrainingSAE(standard_sae.StandardTrainingSAEConfig(**common, **penalty))
    if run.architecture == "topk":
        return topk_sae.TopKTrainingSAE(topk_sae.TopKTrainingSAEConfig(**common, k=run.k))
    if run.architecture == "batchtopk":
        return batchtopk_sae.BatchTopKTrainingSAE(batchtopk_sae.BatchTopKTrainingSAEConfig(**common, k=run.k))
    own = matryoshka_batchtopk_sae
    config = own.MatryoshkaBatchTopKTrainingSAEConfig(**common, k=run.k, matryoshka_widths=list(WIDTHS))
    return own.MatryoshkaBatchTopKTrainingSAE(config)
