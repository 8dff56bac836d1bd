"""The models that the harvest benchmark reads, and what they read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
from torch import Tensor

from interp_lab.models.load import load_model
from interp_lab.models.resolve import ModelSource, locate_model
from interp_lab.points import Address

CONTEXT, BATCH, BUFFER, TRAIN_BATCH = 128, 8, 8192, 1024


class Shape(NamedTuple):
    """Size of a GPT-2 and where its weights come from."""

    name: str
    n_layers: int
    d_model: int
    n_heads: int
    n_positions: int
    n_vocabulary: int
    n_tokens: int
    """Tokens per timing; slow methods read fewer."""
    builtin: bool = False
    """The trained model of this name; else random weights."""


SHAPES = (
    Shape("pocket-gpt2", 4, 160, 5, 512, 4096, 16_384, builtin=True),
    Shape("gpt2-shape", 12, 768, 12, 1024, 50_257, 2048),
)


class Subject:
    """One model in every form in which it is measured, and what it reads."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.shape = shape
        self.layer = shape.n_layers // 2 - 1
        self.address = Address("resid_post", self.layer)
        source = _source(shape, folder)
        self.loaded = load_model(source, dtype="float32", device="cpu")
        self.half = load_model(source, dtype="bfloat16", device="cpu")
        generator = np.random.default_rng(1)
        ids = generator.integers(5, shape.n_vocabulary, (max(shape.n_tokens, 2 * BUFFER) // CONTEXT, CONTEXT))
        self.contexts = torch.from_numpy(ids)
        lengths = np.clip(generator.lognormal(3.5, 0.6, 64).astype(int), 4, CONTEXT)
        self.short = [generator.integers(5, shape.n_vocabulary, n).tolist() for n in lengths]

    def texts(self, n_tokens: int) -> Tensor:
        """Contexts with about so many tokens."""
        return self.contexts[: max(1, n_tokens // CONTEXT)]


def _source(shape: Shape, folder: Path) -> ModelSource:
    found = locate_model(f"builtin:{shape.name}") if shape.builtin else None
    return found or ModelSource("local", shape.name, _make(shape, folder))


def _make(shape: Shape, folder: Path) -> Path:
    from tokenizers import Tokenizer, models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=shape.n_layers,
        n_embd=shape.d_model,
        n_head=shape.n_heads,
        n_positions=shape.n_positions,
        vocab_size=shape.n_vocabulary,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    words = {f"w{i}": i for i in range(50_256)} | {"<|endoftext|>": 50_256}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    ).save_pretrained(folder)
    return folder


Read = Callable[[Tensor], Tensor]
"""From contexts `(n, pos)` to activations `(n * pos, d_model)`, in order."""
