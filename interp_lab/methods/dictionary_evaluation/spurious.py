"""Spurious-correlation removal: does taking latents of one attribute away free a probe that learnt two at once?

Torch-free. Two attributes of a prompt: on biased data both hold or neither does, so that a probe cannot tell which it
learnt; on balanced data all four kinds are equally many.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.methods.dictionary_evaluation.choice import mean_difference
from interp_lab.statistics.clustered_ratio import RatioEstimate, clustered_ratio

LEAST_BIAS = 1e-3
"""Fall of accuracy through the bias under which there is nothing to remove."""

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


class Attributes(NamedTuple):
    """What holds of every prompt."""

    first: Bools
    second: Bools
    known: Bools
    """Whether both are known."""

    def counts(self, rows: Places) -> NDArray[np.intp]:
        """Return how many of the rows are of each of the four kinds: neither, second, first, both."""
        own = rows[self.known[rows]]
        return np.bincount(2 * self.first[own] + self.second[own], minlength=4)


class Drawn(NamedTuple):
    """Rows for probes: equally many of the four kinds, and those of the two kinds that go together."""

    balanced: Places
    biased: Places


def draw(attributes: Attributes, rows: Places, *, seed: int) -> Drawn:
    """Return rows drawn by seed: m of each kind, and up to 2 m where both attributes hold and as many with neither.

    Source: SAEBench (Karvonen et al. 2025), `get_spurious_corr_data`.
    """
    rng = np.random.default_rng([seed, 0x5C4])
    order = rng.permutation(rows[attributes.known[rows]])
    kinds = [order[2 * attributes.first[order] + attributes.second[order] == kind] for kind in range(4)]
    m = min(map(len, kinds))
    twice = min(2 * m, len(kinds[0]), len(kinds[3]))
    return Drawn(
        np.sort(np.concatenate([kind[:m] for kind in kinds])),
        np.sort(np.concatenate([kinds[0][:twice], kinds[3][:twice]])),
    )


def latents_of_attribute(codes: Floats, holds: Bools, along_probe: Floats, k: int) -> Places:
    """Return the `k` latents that feed the probe of an attribute most, either way; none that does not feed it.

    `codes` `(n_prompts, n_latents)` are means over tokens of balanced rows, `along_probe` `(n_latents,)` the inner
    products of decoder rows with the direction of the probe of that attribute.

    Source: SAEBench (Karvonen et al. 2025): absolute mean difference times the decoder row along the probe.
    """
    effects = np.abs(mean_difference(codes, holds) * along_probe)
    order = np.argsort(-effects, kind="stable")[:k]
    return order[effects[order] > 0]


def removal_score(changed: Bools, original: Bools, clean: Bools, groups: NDArray[np.int64]) -> RatioEstimate | None:
    """Return (changed - original) / (clean - original) in accuracy over balanced rows; none where no bias is to remove.

    `changed` and `original` say which rows the biased probe gets right with latents taken away and as it is, `clean`
    which the unbiased probe gets right. 1 is all of the bias removed, 0 none, under 0 is more bias than before.

    Source: S_SHIFT of Karvonen et al. 2024 (arXiv 2411.18895); SAEBench writes 0 where there is no bias.
    """
    gained, lost = changed.astype(np.float64) - original, clean.astype(np.float64) - original
    if lost.mean() < LEAST_BIAS or np.unique(groups).size < 2:
        return None
    return clustered_ratio(gained, lost, groups)
