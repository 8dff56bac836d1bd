"""Do two edits, of two models, do the same to the words that both models know?

What an edit does is a vector: the mean change of every word's logit over prompts. Two models share no basis but their
words, so that is where effects can be compared. Similarity is the correlation over words. Two nulls: words exchanged
(do the two vectors have anything to do with each other?), and what edits of random directions of the same size do in
the place of either edit (are the two closer than each is to any edit of that size?).

Neither null is enough alone. Exchanging words takes them to be exchangeable, and they are not: forms of one word, or
frequent words, move together in every model of one language, so fewer of them are independent than are counted and
`p_words` of two unrelated edits is too small. Random edits go through the same unembedding and share that structure, so
`p_controls` answers for it, but cannot go below one over their number. A claim needs both: the larger of the two.

Source: ours; the permutation of a correlation is Good (2005), Permutation, Parametric and Bootstrap Tests, ch. 3. Each
pair is tested on prompts and on words that did not choose it: what a unit does to a word hardly varies from prompt to
prompt, so two units that are alike by chance on some words are so on every prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import ShapeMismatch, TooFewGroups
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.bootstrap import cluster_bootstrap
from interp_lab.statistics.clustered_mean import clustered_mean

LEAST_WORDS = 15
"""Words in common below which a permutation of them says little."""
_DRAWS = 500


class VectorTest(NamedTuple):
    """How alike the effects of pairs are, and how often chance does as well; one value per pair."""

    similarity: Floats
    """Correlation over words, in [-1, 1]."""
    low: Floats
    high: Floats
    """95 % interval: percentiles over resampled prompt groups."""
    p_words: Floats
    """Share of exchanges of words that do as well, the observed one counted. Too small where words move together:
    never to be read without `p_controls`."""
    p_controls: Floats
    """Share of random edits, each in the place of either edit, that are as close, the chosen one counted."""


class Beyond(NamedTuple):
    """Whether an edit does more than random edits of its size."""

    size: float
    """Its change along what it did to explore prompts, mean over prompts."""
    control: float
    """The same part of random edits."""
    low: float
    """Lower end of the 95 % interval of the one less the other, over prompt groups."""


def alike(left: NDArray[np.generic], right: NDArray[np.generic]) -> Floats:
    """Return correlations `(n_left, n_right)` of rows over words; 0 for a row that does not vary."""
    return _unit_rows(left) @ _unit_rows(right).T


def judge_vectors(
    left: NDArray[np.generic],
    right: NDArray[np.generic],
    controls: NDArray[np.generic],
    groups: NDArray[np.generic],
    *,
    n_permutations: int,
    seed: int,
    left_controls: NDArray[np.generic] | None = None,
) -> VectorTest:
    """Return the test of paired effects `(n_pairs, n_prompts, n_words)` against random edits `(n_controls, n_words)`.

    `controls` are of the right side; `left_controls`, where there are any, take the place of the left effect.

    Raises:
        ShapeMismatch: The sides do not have the same pairs, prompts and words, or too few words.
        TooFewGroups: There are fewer than two prompt groups.
    """
    one, two = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 3 or one.shape[2] < LEAST_WORDS:
        raise ShapeMismatch(f"Effects of shapes {one.shape} and {two.shape} cannot be compared over words.")
    if len(np.unique(groups)) < 2:
        raise TooFewGroups("Effects on one prompt group have no interval.")
    a, b = _unit_rows(one.mean(1)), _unit_rows(two.mean(1))
    found = np.einsum("ij,ij->i", a, b)
    rng = np.random.default_rng(seed)
    reached = np.ones(len(found))
    for _ in range(n_permutations):
        reached += np.einsum("ij,ij->i", a, b[:, rng.permutation(b.shape[1])]) >= found - 1e-12
    random = alike(one.mean(1), controls)
    if left_controls is not None:
        random = np.concatenate([random, alike(two.mean(1), left_controls)], axis=1)
    closer = 1 + (random >= found[:, None] - 1e-12).sum(1)

    def paired(rows: Ints) -> Floats:
        return np.einsum("ij,ij->i", _unit_rows(one[:, rows].mean(1)), _unit_rows(two[:, rows].mean(1)))

    interval = cluster_bootstrap(paired, groups, seed=seed, draws=_DRAWS)
    return VectorTest(
        found, interval.low, interval.high, reached / (n_permutations + 1), closer / (random.shape[1] + 1)
    )


def beyond_control(sizes: Sequence[float], controls: Sequence[float], groups: NDArray[np.generic]) -> Beyond:
    """Return whether an edit does more than random edits of its size; changes along its own pattern, one per prompt.

    Raises:
        TooFewGroups: There are fewer than two prompt groups.
    """
    own, other = np.asarray(sizes, dtype=np.float64), np.asarray(controls, dtype=np.float64)
    estimate = clustered_mean(own - other, groups)
    return Beyond(float(own.mean()), float(other.mean()), estimate.low)


def size_along(changes: NDArray[np.floating], goal: NDArray[np.floating]) -> Floats:
    """Return how far edits `(n_units, n_controls, n_words)` move along goals `(n_units, n_words)`: median of the sizes.

    Each random edit stands beside its opposite, so with their signs they would cancel to nothing. The median, since a
    few random edits that push a whole circuit over would make a mean larger than what most of them do.
    """
    along = np.abs((np.asarray(changes, dtype=np.float64) * goal[:, None]).sum(2))
    return np.asarray(np.median(along, axis=1), dtype=np.float64)


def is_harmless(changes: NDArray[np.floating], groups: NDArray[np.generic], bound: float) -> bool:
    """Return whether changes of negatives are known to be within a bound: the upper end of their mean size is."""
    known = len(np.unique(groups)) > 1
    return known and clustered_mean(np.abs(np.asarray(changes, dtype=np.float64)), groups).high <= bound


def _unit_rows(rows: NDArray[np.generic]) -> Floats:
    """Return rows of mean 0 and length 1; all 0 for one that does not vary."""
    matrix = np.asarray(rows, dtype=np.float64)
    centred = matrix - matrix.mean(-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-12)
