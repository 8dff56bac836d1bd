"""Trainers of one TopK SAE from the same first weights: ours, SAELens, eai-sparsify, dictionary_learning."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

K, LEARNING_RATE, INITIAL_NORM, SEED = 32, 1e-3, 0.1, 7


class Shape(NamedTuple):
    """Sizes of one comparison."""

    d_in: int
    n_latents: int
    batch: int


def first_decoder(shape: Shape) -> Tensor:
    """Return decoder rows to start from, `(n_latents, d_in)`."""
    draw = torch.Generator().manual_seed(SEED)
    return INITIAL_NORM * functional.normalize(torch.randn(shape.n_latents, shape.d_in, generator=draw), dim=1)


class Contestant(ABC):
    """One trainer."""

    def __init__(self, shape: Shape, steps: int) -> None:
        self.shape, self.steps = shape, steps

    @abstractmethod
    def step(self, x: Tensor) -> None:
        """Train on one batch."""

    @abstractmethod
    def reconstruct(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the reconstruction and the mean number of active latents."""


class Ours(Contestant):
    """The path of this project, which is plain PyTorch, as it comes."""

    select = "auto"

    def __init__(self, shape: Shape, steps: int) -> None:
        super().__init__(shape, steps)
        from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
        from interp_lab.dictionaries.training.trainer import Trainer

        config = DictionaryConfig(d_in=shape.d_in, d_out=shape.d_in, n_latents=shape.n_latents, k=K)
        training = TrainingConfig(
            total_tokens=steps * shape.batch, batch_tokens=shape.batch, learning_rate=LEARNING_RATE,
            decoder_norm="free", normalize="none", aux_coefficient=1.0, dead_window_tokens=1000 * shape.batch,
            select=self.select,
        )  # fmt: skip
        self._trainer = Trainer(config, training)
        decoder = first_decoder(shape)
        zeros = {"b_dec": torch.zeros(shape.d_in), "b_enc": torch.zeros(shape.n_latents)}
        self._trainer.adopt({"encoder": decoder.clone(), "decoder": decoder, **zeros})

    def step(self, x: Tensor) -> None:
        """Train on one batch."""
        self._trainer.step(x)

    def reconstruct(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the reconstruction and the mean number of active latents."""
        codes, output = self._trainer.dictionary().encode_and_reconstruct(x)
        return output, len(codes.latents) / len(x)


class OursFp32(Ours):
    """The same with candidates chosen in float32."""

    select = "fp32"


class SaeLens(Contestant):
    """SAELens' TopK trainer as it comes."""

    autocast = False

    def __init__(self, shape: Shape, steps: int) -> None:
        super().__init__(shape, steps)
        from sae_lens.config import SAETrainerConfig
        from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
        from sae_lens.training.sae_trainer import SAETrainer

        config = TopKTrainingSAEConfig(
            d_in=shape.d_in, d_sae=shape.n_latents, k=K, normalize_activations="none", apply_b_dec_to_input=True
        )
        self._sae = TopKTrainingSAE(config)
        decoder = first_decoder(shape)
        self._sae.W_dec.data.copy_(decoder)
        self._sae.W_enc.data.copy_(decoder.T)
        trainer_config = SAETrainerConfig(
            total_training_samples=steps * shape.batch, train_batch_size_samples=shape.batch, lr=LEARNING_RATE,
            lr_end=LEARNING_RATE, autocast=self.autocast,
        )  # fmt: skip
        self._trainer: Any = SAETrainer(trainer_config, self._sae, iter(()))

    def step(self, x: Tensor) -> None:
        """Train on one batch."""
        self._trainer.step(x)
        self._trainer.n_training_steps += 1

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the reconstruction and the mean number of active latents."""
        codes = self._sae.encode(x)
        return self._sae.decode(codes), float((codes > 0).sum(1).float().mean())


class SaeLensAutocast(SaeLens):
    """SAELens at its best setting on a CPU with bfloat16."""

    autocast = True


class Sparsify(Contestant):
    """eai-sparsify's coder with the sign optimiser and learning rate of its trainer."""

    def __init__(self, shape: Shape, steps: int) -> None:
        super().__init__(shape, steps)
        from sparsify.config import SparseCoderConfig
        from sparsify.sign_sgd import SignSGD
        from sparsify.sparse_coder import SparseCoder

        self._coder: Any = SparseCoder(shape.d_in, SparseCoderConfig(num_latents=shape.n_latents, k=K))
        decoder = functional.normalize(first_decoder(shape), dim=1)
        self._coder.encoder.weight.data.copy_(decoder)
        self._coder.W_dec.data.copy_(decoder)
        self._optimiser = SignSGD(self._coder.parameters(), lr=5e-3 / (shape.n_latents / 2**14) ** 0.5)

    def step(self, x: Tensor) -> None:
        """Train on one batch."""
        self._coder(x).fvu.backward()
        self._coder.remove_gradient_parallel_to_decoder_directions()
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._coder.set_decoder_norm_to_unit_norm()

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the reconstruction and the mean number of active latents."""
        found = self._coder(x)
        return found.sae_out, float((found.latent_acts > 0).sum(1).float().mean())


class DictionaryLearning(Contestant):
    """dictionary_learning's TopK trainer."""

    def __init__(self, shape: Shape, steps: int) -> None:
        super().__init__(shape, steps)
        from dictionary_learning.trainers.top_k import TopKTrainer

        self._trainer: Any = TopKTrainer(
            steps=max(steps, 10), activation_dim=shape.d_in, dict_size=shape.n_latents, k=K, layer=0, lm_name="none",
            lr=LEARNING_RATE, warmup_steps=0, device="cpu", seed=SEED,
        )  # fmt: skip
        self._done = 0

    def step(self, x: Tensor) -> None:
        """Train on one batch."""
        self._trainer.update(self._done, x)
        self._done += 1

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the reconstruction and the mean number of active latents."""
        output, codes = self._trainer.ae(x, output_features=True)
        return output, float((codes > 0).sum(1).float().mean())


CONTESTANTS: dict[str, type[Contestant]] = {
    "interp-lab": Ours,
    "interp-lab fp32": OursFp32,
    "sae-lens": SaeLens,
    "sae-lens autocast": SaeLensAutocast,
    "eai-sparsify": Sparsify,
    "dictionary_learning": DictionaryLearning,
}
"""By the name that results are printed under."""


def make(name: str, shape: Shape, steps: int) -> Contestant:
    """Return a contestant; their libraries' warnings are theirs."""
    warnings.simplefilter("ignore")
    return CONTESTANTS[name](shape, steps)
