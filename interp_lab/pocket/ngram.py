"""N-gram models of token ids to compare a language model with: unigram and interpolated Kneser-Ney of any order.

Source: Chen and Goodman (1999): interpolated, with one absolute discount per order, D = n1 / (n1 + 2 n2). The highest
order counts occurrences, lower orders count distinct left neighbours, the lowest is interpolated with the uniform
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import NgramOrderUnfit

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """Counts of one order: sorted n-gram keys with their counts, and per context the total and the kinds."""

    grams: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    kinds: Ids
    discount: float


class KneserNey:
    """Interpolated Kneser-Ney model of a token stream.

    Raises:
        NgramOrderUnfit: the stream is shorter than the order, or an n-gram does not fit 62 bits.
    """

    def __init__(self, tokens: Ids, order: int, vocabulary: int) -> None:
        self.order = order
        self.vocabulary = vocabulary
        bits = max(1, (vocabulary - 1).bit_length())
        if bits * order > 62:
            raise NgramOrderUnfit(f"Order {order} over {vocabulary} tokens needs {bits * order} bits per key.")
        if len(tokens) < order:
            raise NgramOrderUnfit(f"There are {len(tokens)} tokens for order {order}.")
        self._bits = bits
        self._orders = self._count(np.asarray(tokens, dtype=np.int64))

    def probabilities(self, tokens: Ids) -> Probabilities:
        """The probability of every token given those before it, (n,); early tokens use the context there is."""
        tokens = np.asarray(tokens, dtype=np.int64)
        result = np.full(len(tokens), 1.0 / self.vocabulary)
        for size, level in enumerate(self._orders, start=1):
            if len(tokens) >= size:
                keys = self._keys(tokens, size)
                result[size - 1 :] = self._interpolated(level, keys, result[size - 1 :])
        return result

    def _keys(self, tokens: Ids, size: int) -> Ids:
        """One integer per window of that size, (n - size + 1,); the last token in the lowest bits."""
        count = len(tokens) - size + 1
        keys = np.zeros(count, dtype=np.int64)
        for place in range(size):
            keys = (keys << self._bits) | tokens[place : place + count]
        return keys

    def _count(self, tokens: Ids) -> list[_Order]:
        grams, counts = np.unique(self._keys(tokens, self.order), return_counts=True)
        levels = [self._level(grams, counts)]
        for size in range(self.order - 1, 0, -1):
            # a lower order counts how many different tokens stand to the left of the gram
            grams, counts = np.unique(grams & ((1 << (self._bits * size)) - 1), return_counts=True)
            levels.append(self._level(grams, counts))
        return levels[::-1]

    def _level(self, grams: Ids, counts: Ids) -> _Order:
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        discount = once / (once + 2 * twice) if once else 0.0
        contexts, first = np.unique(grams >> self._bits, return_index=True)
        kinds = np.diff(np.append(first, len(grams)))
        totals = np.add.reduceat(counts, first)
        return _Order(grams, counts, contexts, totals, kinds, discount)

    def _interpolated(self, level: _Order, keys: Ids, lower: Probabilities) -> Probabilities:
        counts = _looked_up(level.grams, level.counts, keys)
        contexts = keys >> self._bits
        totals = _looked_up(level.contexts, level.totals, contexts)
        kinds = _looked_up(level.contexts, level.kinds, contexts)
        seen = np.maximum(totals, 1)
        own = np.maximum(counts - level.discount, 0.0) / seen
        return np.where(totals > 0, own + level.discount * kinds / seen * lower, lower)


def _looked_up(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def unigram(train: Ids, tokens: Ids, vocabulary: int) -> Probabilities:
    """The probability of every token from add-one counts of the training stream, (n,)."""
    counts = np.bincount(train, minlength=vocabulary) + 1.0
    return counts[tokens] / counts.sum()


def cross_entropy(probabilities: Probabilities) -> float:
    """Mean surprise in nats per token."""
    return float(-np.log(probabilities).mean())
