"""The windows of every training step, a function of the step alone: text, and pieces that repeat themselves."""
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.pocket.recipe import BOS_ID, PAD_ID, VOCABULARY, Recipe
from interp_lab.pocket.text import Tokens

_CYCLE = 8
_NOTHING = -1
_LOOK_AHEAD = 2000
_BEGINNING = np.array([BOS_ID], dtype=np.uint16)

Row = tuple[Tokens, NDArray[np.int64]]


class Batch(NamedTuple):
    """The windows of one step, and for every token in a repetition what followed its earlier copy."""

    ids: torch.Tensor
    """(batch, context + 1)."""
    sources: torch.Tensor
    """(batch, context): where the token stands that followed the earlier copy of this one, -1 for nowhere."""


class Batches:
    """Windows of the token stream; each pass shifts and shuffles them by the recipe's seed."""

    def __init__(self, texts: Sequence[Tokens], recipe: Recipe, context: int, vocabulary: int = VOCABULARY) -> None:
        self.texts = texts
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.context = context
        self._pass = (-1, -1)
        self._starts = np.zeros(0, dtype=np.int64)

    def at(self, step: int) -> Batch:
        """The windows of that step."""
        (first, _), text = self.recipe.cycle(step), self.recipe.index(step)
        per_pass = ((len(self.texts[text]) - self.context) // self.context) // self.recipe.batch
        number, place = divmod(step - first, per_pass)
        if (text, number) != self._pass:
            self._starts = self._shuffled(text, number, per_pass * self.recipe.batch)
            self._pass = (text, number)
        chosen = self._starts[place * self.recipe.batch : (place + 1) * self.recipe.batch]
        rows = [self._row(step, row, (text, int(start))) for row, start in enumerate(chosen)]
        ids = np.stack([ids for ids, _ in rows]).astype(np.int64)
        return Batch(torch.from_numpy(ids), torch.from_numpy(np.stack([sources for _, sources in rows])))

    def _row(self, step: int, row: int, where: tuple[int, int]) -> Row:
        recipe, place = self.recipe, (step * self.recipe.batch + row) % _CYCLE
        text, aligned = self._text(*where), step >= recipe.aligned_from
        if place == _CYCLE - 1 and step >= recipe.repeats_from:
            return self._repeated(step, row, None, text if aligned else _BEGINNING)
        if place % 2 == 1 and recipe.echoes_from <= step < recipe.cycles[0].end:
            return self._repeated(step, row, None if recipe.guides(step) else text, _BEGINNING)
        if place % 2 == 1 and aligned:
            text = self._text(*where, aligned=True)
        return text, np.full(self.context, _NOTHING)

    def _text(self, text: int, start: int, *, aligned: bool = False) -> Tokens:
        if aligned:
            beginnings = np.flatnonzero(self.texts[text][start : start + _LOOK_AHEAD] == BOS_ID)
            start += int(beginnings[0]) if len(beginnings) else 0
        window = np.asarray(self.texts[text][start : start + self.context + 1])
        return window if len(window) > self.context else np.asarray(self.texts[text][-self.context - 1 :])

    def _repeated(self, step: int, row: int, text: Tokens | None, before: Tokens) -> Row:
        # pieces of 8 to 96 tokens, each two to four times in a row, after up to half a window of something else
        generator = np.random.Generator(np.random.PCG64([self.recipe.seed, step, row]))
        lead = before if len(before) == 1 else before[: int(generator.integers(1, self.context // 2))]
        parts, sources = [lead], [np.full(len(lead), _NOTHING)]
        used, total = 0, len(lead)
        while total <= self.context:
            length, times = int(generator.integers(8, 97)), int(generator.integers(2, 5))
            piece = self._random(generator, length) if text is None else text[used : used + length]
            used += length
            parts += [piece] * times
            later = np.arange(total + len(piece), total + times * len(piece))
            sources += [np.full(len(piece), _NOTHING), later - len(piece) + 1]
            total += times * len(piece)
        return np.concatenate(parts)[: self.context + 1], np.concatenate(sources)[: self.context]

    def _random(self, generator: np.random.Generator, length: int) -> Tokens:
        # as often as in the text, or evenly
        if generator.random() < 0.5:
            return self.texts[0][generator.integers(len(self.texts[0]), size=length)]
        return generator.integers(PAD_ID + 1, self.vocabulary, size=length).astype(np.uint16)

    def _shuffled(self, text: int, number: int, count: int) -> NDArray[np.int64]:
        words = [self.recipe.seed, number] if text == 0 else [self.recipe.seed, number, text]
        generator = np.random.Generator(np.random.PCG64(words))
        shift = int(generator.integers(self.context)) if number else 0
        return generator.permutation(count) * self.context + shift
