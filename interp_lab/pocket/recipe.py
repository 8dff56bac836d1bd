"""What each pocket model is: its architecture, its seeds and its training schedule, as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

CONTEXT = 512
VOCABULARY = 4096
BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
BOS_ID, EOS_ID, PAD_ID = 0, 1, 2


@dataclass(frozen=True)
class TextRecipe:
    """How much text of each kind is written, from which seed."""

    seed: int = 20
    generated_train: int = 48_000_000
    """Characters of generated training text."""
    generated_heldout: int = 1_200_000
    """Characters of generated held-out text."""
    library_repeats: int = 2
    """How often one pass over the training text holds the standard library."""
    tokenizer_sample: int = 12_000_000
    """Characters that the tokenizer is trained on."""


@dataclass(frozen=True)
class Recipe:
    """One pocket model."""

    name: str
    family: Literal["gpt2", "llama"]
    layers: int
    width: int
    heads: int
    mlp_width: int
    seed: int
    steps: int
    kv_heads: int | None = None
    tied: bool = True
    batch: int = 8
    learning_rate: float = 2.5e-3
    warmup: int = 150
    decay_share: float = 0.35
    """The part of all steps, at their end, over which the learning rate falls along half a cosine to zero."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0

    def digest(self) -> str:
        """The hash that a checkpoint must carry to be continued under this recipe.

        The number of steps is left out: until the decay begins, a longer run and a shorter one are the same run.
        """
        fixed = {name: value for name, value in asdict(self).items() if name != "steps"}
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


TEXT = TextRecipe()
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "pocket-gpt2",
            "gpt2",
            layers=4,
            width=160,
            heads=5,
            mlp_width=640,
            seed=1,
            steps=4000,
            batch=4,
            learning_rate=2e-3,
            betas=(0.9, 0.98),
        ),
        Recipe(
            "pocket-llama",
            "llama",
            layers=6,
            width=128,
            heads=4,
            mlp_width=352,
            seed=2,
            steps=3000,
            kv_heads=2,
            tied=False,
        ),
    )
}
