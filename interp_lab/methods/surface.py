"""What can be counted on the surface of a text: the numbers that a latent may track instead of the criterion."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from interp_lab.statistics.arrays import Floats

_WORD = re.compile(r"\w+")
_MOST_WORDS = 2000


def surface_features(texts: Sequence[str], *, n_tokens: Sequence[int] | None = None) -> dict[str, Floats]:
    """Return one vector `(n_prompts,)` per surface property.

    `length` in characters, `tokens` if counts are given, and shares of characters in [0, 1]: `punctuation` (Unicode P
    and S), `digits`, `uppercase`.
    """
    shares = np.array([_shares(text) for text in texts], dtype=np.float64).reshape(len(texts), 3)
    features = {"length": np.array([len(text) for text in texts], dtype=np.float64)}
    if n_tokens is not None:
        features["tokens"] = np.asarray(n_tokens, dtype=np.float64)
    return features | {"punctuation": shares[:, 0], "digits": shares[:, 1], "uppercase": shares[:, 2]}


def bag_of_words(texts: Sequence[str]) -> Floats:
    """Return `(n_prompts, n_words)`: presence of each lower-case word found in two texts or more, rows of length 1.

    At most the 2000 most common words count, each weighted by its inverse document frequency.

    Source: Salton and Buckley (1988), binary term frequency.
    """
    sets = [set(_WORD.findall(text.lower())) for text in texts]
    counts = Counter(word for words in sets for word in words)
    common = sorted((word for word, n in counts.items() if 1 < n < len(texts)), key=lambda w: (-counts[w], w))
    index = {word: j for j, word in enumerate(common[:_MOST_WORDS])}
    table = np.zeros((len(texts), len(index)))
    for row, words in enumerate(sets):
        for word in words & index.keys():
            table[row, index[word]] = np.log(len(texts) / counts[word])
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0, norms, 1.0)


def one_hot(categories: Sequence[str]) -> Floats:
    """Return `(n_prompts, n_categories)` of 0 and 1, categories in sorted order."""
    names, codes = np.unique(np.asarray(categories, dtype=np.str_), return_inverse=True)
    return np.eye(names.size)[codes.ravel()]


def _shares(text: str) -> tuple[float, float, float]:
    kinds = Counter[str]()
    for character, n in Counter(text).items():
        kinds[unicodedata.category(character)] += n
    total = max(1, len(text))
    marks = sum(n for kind, n in kinds.items() if kind[0] in "PS")
    return marks / total, kinds["Nd"] / total, kinds["Lu"] / total
