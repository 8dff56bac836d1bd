"""Whether the latents are the features that there truly are: matching by direction, and each latent as a detector.

For worlds whose features are known. Torch-free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.assignment import best_assignment

RECOVERED = 0.9
"""Cosine of decoder row and true direction from which a feature counts as recovered."""
COUNTED = 1e-3
"""Share of tokens on which a feature must fire to be counted among those that could be recovered."""
SHARES = 0.5**0.5
"""Cosine from which a latent counts as one of a feature's: more of its length lies along it than beside it."""

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Directions(NamedTuple):
    """How decoder rows lie to the true directions."""

    mcc: float
    """Mean |cosine| of the best one-to-one matching."""
    uniqueness: float
    """Different features that latents are nearest to, over latents."""
    recovered: float
    """Share of the counted features with a decoder row at cosine `RECOVERED` or more."""
    n_counted: int
    split: float
    """Share of the recovered features with more than one latent of their own (cosine `SHARES` or more)."""
    latents_per_feature: float
    """Latents of their own that recovered features have on average; 0 if none is recovered."""


class Detectors(NamedTuple):
    """Each latent as a detector of the feature that it is nearest to, averaged over latents; undefined counts as 0."""

    precision: float
    recall: float
    f1: float
    accuracy: float


def directions_recovered(decoder: Floats, directions: Floats, density: NDArray[np.float64]) -> Directions:
    """Return how decoder rows `(n_latents, width)` lie to true directions `(n_features, width)`.

    `density` is the share of tokens on which each feature fires.

    Source: MCC, Song et al. 2025 (arXiv 2505.20254); uniqueness, SynthSAEBench (arXiv 2602.14687).
    """
    cosines = _cosines(decoder, directions)
    rows, columns = best_assignment(np.abs(cosines))
    nearest = np.abs(cosines).argmax(axis=1)
    counted = density >= COUNTED
    found = counted & (cosines.max(axis=0) >= RECOVERED)
    own = np.bincount(nearest[cosines[np.arange(len(nearest)), nearest] >= SHARES], minlength=len(directions))
    return Directions(
        mcc=float(np.abs(cosines)[rows, columns].mean()),
        uniqueness=np.unique(nearest).size / len(nearest),
        recovered=float(found.sum() / counted.sum()) if counted.any() else 0.0,
        n_counted=int(counted.sum()),
        split=float((own[found] > 1).mean()) if found.any() else 0.0,
        latents_per_feature=float(own[found].mean()) if found.any() else 0.0,
    )


class DetectionSum:
    """Takes blocks of what fires and what should, and counts."""

    def __init__(self, decoder: Floats, directions: Floats) -> None:
        self._nearest = np.abs(_cosines(decoder, directions)).argmax(axis=1)
        self._counts = np.zeros((3, len(decoder)), dtype=np.int64)
        self._n_tokens = 0

    def add(self, fires: Bools, true: Bools) -> None:
        """Take some tokens: latents that fire `(token, n_latents)` and features that truly do `(token, n_features)`."""
        wanted = true[:, self._nearest]
        self._counts += np.stack([(fires & wanted).sum(0), fires.sum(0), wanted.sum(0)])
        self._n_tokens += len(fires)

    def figures(self) -> Detectors:
        """Return the means over latents.

        Source: SynthSAEBench (arXiv 2602.14687).
        """
        both, fired, wanted = self._counts.astype(np.float64)
        precision, recall = (np.divide(both, n, out=np.zeros_like(both), where=n > 0) for n in (fired, wanted))
        total = precision + recall
        f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(both), where=total > 0)
        right = 1 - (fired + wanted - 2 * both) / max(1, self._n_tokens)
        return Detectors(*(float(each.mean()) for each in (precision, recall, f1, right)))


def _cosines(decoder: Floats, directions: Floats) -> Floats:
    rows, truth = (m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-12) for m in (decoder, directions))
    return rows @ truth.T
