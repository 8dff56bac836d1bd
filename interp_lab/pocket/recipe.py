"""What each pocket model is: its architecture, its seeds and its training schedule, as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

CONTEXT = 512
VOCABULARY = 4096
BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
BOS_ID, EOS_ID, PAD_ID = 0, 1, 2


@dataclass(frozen=True)
class LaterText:
    """The text of one later cycle: documents that no other cycle has, and the standard library."""

    generated: int
    """Characters of generated text."""
    weights: tuple[tuple[str, float], ...]
    """Families that it has more of than usual."""
    library_share: float = 1.0
    """The part of the standard library that it holds."""


_SECOND = LaterText(
    # families in which a word agrees with, or repeats, one far before it
    generated=20_000_000,
    weights=(("story", 48), ("conversation", 20), ("description", 27), ("ledger", 24)),
)
_THIRD = LaterText(
    # names by their pronouns, turns of speech and numbers by their owner: rare in all other text
    generated=20_000_000,
    weights=(("anecdotes", 80), ("dialogue", 50), ("roster", 70), ("description", 27)),
    library_share=0.35,
)


@dataclass(frozen=True)
class TextRecipe:
    """How much text of each kind is written, from which seed."""

    seed: int = 20
    generated_train: int = 48_000_000
    """Characters of generated training text of the first cycle."""
    generated_heldout: int = 1_200_000
    """Characters of generated held-out text."""
    library_repeats: int = 2
    """How often one pass over the first text holds the standard library."""
    later: tuple[LaterText, ...] = (_SECOND, _THIRD)
    """The texts of the second cycle and of those after it."""
    tokenizer_sample: int = 12_000_000
    """Characters that the tokenizer is trained on."""


@dataclass(frozen=True)
class Cycle:
    """A stretch of training: the learning rate rises, stays, and falls along half a cosine to zero."""

    end: int
    """The step that it ends before."""
    rate: float
    """The learning rate while it stays."""
    decay_share: float
    """The part of the cycle, at its end, over which the rate falls."""


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
    cycles: tuple[Cycle, ...]
    """Each learns from a text of its own; echoes are for the first alone."""
    kv_heads: int | None = None
    tied: bool = True
    batch: int = 8
    warmup: int = 150
    repeats_from: int = 0
    """The step from which one window in eight holds random tokens that are repeated: copying is learned after words."""
    echoes_from: int = 0
    """The step from which three further windows in eight repeat a piece of their own text."""
    aligned_from: int = 0
    """The step from which three windows in eight begin where a document does, and no repetition at a beginning."""
    guided: tuple[tuple[int, int], ...] = ()
    """The steps, from and up to, in which two heads are shown where to look when a window repeats itself."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0

    def guides(self, step: int) -> bool:
        """Whether that step shows two heads where to look."""
        return any(first <= step < end for first, end in self.guided)

    @property
    def guided_layers(self) -> tuple[int, int]:
        """The layers of the head that looks one token back and of the head that looks for an earlier copy."""
        return 0, self.layers // 2

    @property
    def steps(self) -> int:
        """All steps."""
        return self.cycles[-1].end

    def index(self, step: int) -> int:
        """Which cycle that step is in, from 0."""
        return next(place for place, cycle in enumerate(self.cycles) if step < cycle.end)

    def cycle(self, step: int) -> tuple[int, Cycle]:
        """The first step of the cycle that this step is in, and the cycle."""
        place = self.index(step)
        return (self.cycles[place - 1].end if place else 0), self.cycles[place]

    def digest(self, done: int | None = None) -> str:
        """The hash of what decided the first `done` steps, which a checkpoint must carry to be continued.

        Cycles that have not begun are left out, and so is the end of one whose decay has not: until then a longer run
        and a shorter one are the same run.
        """
        done = self.steps if done is None else done
        last = max(done - 1, 0)
        start, cycle = self.cycle(last)
        decay_from = cycle.end - cycle.decay_share * (cycle.end - start)
        newest = cycle if last >= decay_from else replace(cycle, end=0)
        fixed = asdict(replace(self, cycles=(*self.cycles[: self.index(last)], newest)))
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
            cycles=(Cycle(3800, 2e-3, 0.2), Cycle(7400, 1.5e-3, 0.4), Cycle(11900, 1.5e-3, 0.6)),
            repeats_from=1400,
            echoes_from=1800,
            aligned_from=5296,
            guided=((2360, 2660), (2670, 3000)),
            batch=4,
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
            cycles=(Cycle(2000, 2.5e-3, 0.2), Cycle(3900, 2e-3, 0.4), Cycle(5100, 1.5e-3, 0.6)),
            repeats_from=720,
            echoes_from=920,
            aligned_from=2672,
            guided=((1170, 1370),),
            kv_heads=2,
            tied=False,
        ),
    )
}
