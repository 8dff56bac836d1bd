# pyright: standard

"""What all programs share: words with slots of their own, the scale of the answers, which heads are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from interp_lab.corpus.dice import Dice
from interp_lab.worlds.circuits.blueprint import Head, Matrix, Slots, lookup, one_hot
from interp_lab.worlds.vocabulary import Vocabulary, small_vocabulary, word_level

SCALE = 10.0
"""Logit of a certain answer."""

CONTEXT = 14
_N_WORDS = 10
FIRST = 4
"""Id of the first word: before it come the beginning, the end, the padding and the unknown."""


@dataclass(frozen=True)
class Setting:
    """What all programs share: words with slots of their own, and which head of each layer is used."""

    dice: Dice
    vocabulary: Vocabulary
    heads: tuple[int, int]
    n_prompts: int

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the program computes with."""
        return self.vocabulary.words

    @property
    def n_vocab(self) -> int:
        """Size of the vocabulary, special pieces included."""
        return len(self.vocabulary.pieces)

    def embed(self, slots: Slots) -> Matrix:
        """Return the embedding: each word in its slot of `token`, the beginning token in `begin`."""
        table = torch.zeros(self.n_vocab, slots.total, dtype=torch.float64)
        table[FIRST : FIRST + len(self.words)] = slots.pick("token").T
        table[0] = slots.pick("begin")[:, 0]
        return table

    def sentence(self, low: int, high: int) -> tuple[str, ...]:
        """Return a row of random words."""
        return tuple(self.dice.pick(self.words) for _ in range(self.dice.integer(low, high)))

    def draw_class(self, size: int) -> list[int]:
        """Return places of random words."""
        return sorted(self.dice.sample(range(len(self.words)), size))

    def ids(self, places: Sequence[int]) -> set[int]:
        """Return the token ids of words by their places."""
        return {FIRST + place for place in places}

    def named(self, places: Sequence[int]) -> str:
        """Return words by their places, for a sentence."""
        return ", ".join(self.words[place] for place in places)


def setting(dice: Dice, n_prompts: int, *extra: str) -> Setting:
    """Return words and heads drawn for one world; `extra` are pieces that stand for answers or separators."""
    words = tuple(dice.sample(small_vocabulary().words, _N_WORDS))
    vocabulary = word_level((*words, *extra), words=words, mark="")
    return Setting(dice, vocabulary, (dice.integer(0, 1), dice.integer(0, 1)), n_prompts)


def previous_token(at: Setting, slots: Slots, read: Matrix, write: Matrix) -> Head:
    """Return a head of the first layer that copies something from the position before."""
    shift = torch.zeros(slots.total, CONTEXT, dtype=torch.float64)
    shift[:, :-1] = slots.pick("position")[:, 1:]  # position i asks for i - 1
    return lookup(
        0, at.heads[0], ask=shift, match=slots.pick("position"), move=(read, write), rest=0.0 * slots.pick("begin")
    )


def answers(at: Setting, slots: Slots) -> Matrix:
    """Return an unembedding that reads each word from its slot of `answer`."""
    return SCALE * slots.pick("answer") @ one_hot(at.n_vocab, range(FIRST, FIRST + len(at.words)))
