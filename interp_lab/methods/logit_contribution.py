"""What a direction in the residual stream adds to every logit by itself: final norm's gain, then the unembedding.

The norm's division by the size of the residual stream is left out, because it differs from token to token; so
contributions are known up to one positive factor per token. What later layers make of the direction is not in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.statistics.arrays import Floats, Ints

Float32s = NDArray[np.float32]


class LogitContribution(NamedTuple):
    """One number per token."""

    values: Floats
    """Less their mean over the vocabulary, which no probability depends on `(n_vocab,)`."""
    std: float

    def largest(self, n: int) -> Ints:
        """Return the `n` tokens with the largest contributions, largest first, then by number."""
        return _first(-self.values, n)

    def smallest(self, n: int) -> Ints:
        """Return the `n` tokens with the smallest contributions, smallest first, then by number."""
        return _first(self.values, n)


def logit_contribution(
    direction: Float32s, gain: Float32s, unembed: Callable[[Float32s], Float32s], *, centres: bool
) -> LogitContribution:
    """Return what one unit along `direction` `(d_model,)` adds to the logits, centred over the vocabulary.

    `gain` `(d_model,)` is that of the final norm; `centres` says that it subtracts the mean over coordinates first
    (LayerNorm does, RMSNorm does not); `unembed` multiplies the unembedding `(n_vocab, d_model)` with a vector.

    Source: direct logit attribution, Elhage et al. (2021, A Mathematical Framework for Transformer Circuits).
    """
    moved = direction.astype(np.float64)
    if centres:
        moved = moved - moved.mean()
    logits = unembed((moved * gain).astype(np.float32)).astype(np.float64)
    centred = logits - logits.mean()
    return LogitContribution(centred, float(centred.std()))


def _first(keys: Floats, n: int) -> Ints:
    if n >= keys.size:
        return np.argsort(keys, kind="stable")
    edge = np.partition(keys, n)[n] if n else -np.inf
    near = np.flatnonzero(keys <= edge)
    return near[np.argsort(keys[near], kind="stable")][:n]
