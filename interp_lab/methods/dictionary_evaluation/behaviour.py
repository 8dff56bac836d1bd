"""What a replaced activation does to the model's predictions: loss recovered, cross-entropy, divergence. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import TooFewGroups
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.statistics.clustered_ratio import RatioEstimate, clustered_ratio

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Cross-entropy of the next token and divergence from the model as it is, in nats, per token."""

    loss: Floats
    """NaN on a token that nothing follows."""
    divergence: Floats
    """KL(model as it is || model with the replacement)."""


class Effect(NamedTuple):
    """What one replacement does."""

    loss: MeanEstimate
    divergence: MeanEstimate
    change: MeanEstimate
    """Cross-entropy less that of the model as it is, paired by token."""


class Recovered(NamedTuple):
    """Shares of the gap between an ablation and the model as it is that a replacement closes; 1 is all of it."""

    loss: RatioEstimate | None
    """(ablated - replaced) / (ablated - as it is), in cross-entropy; none where ablation does no harm."""
    divergence: RatioEstimate | None
    """1 - KL with the replacement / KL with the ablation."""


def effect(replaced: Predictions, clean: Predictions, groups: Wholes) -> Effect:
    """Return what a replacement does; intervals count groups.

    Raises:
        TooFewGroups: There are tokens of fewer than two groups.
    """
    ends = np.isnan(clean.loss)
    own = groups[~ends]
    return Effect(
        loss=clustered_mean(replaced.loss[~ends], own),
        divergence=clustered_mean(replaced.divergence, groups),
        change=clustered_mean(replaced.loss[~ends] - clean.loss[~ends], own),
    )


def recovered(replaced: Predictions, ablated: Predictions, clean: Predictions, groups: Wholes) -> Recovered:
    """Return how much of what an ablation costs a replacement does not cost."""
    ends = np.isnan(clean.loss)
    gap = (ablated.loss - clean.loss)[~ends]
    closed = (ablated.loss - replaced.loss)[~ends]
    return Recovered(
        loss=_ratio(closed, gap, groups[~ends]),
        divergence=_ratio(ablated.divergence - replaced.divergence, ablated.divergence, groups),
    )


def _ratio(above: Floats, below: Floats, groups: Wholes) -> RatioEstimate | None:
    try:
        return clustered_ratio(above, below, groups)
    except TooFewGroups:
        return None


def joined(parts: Mapping[str, list[Predictions]]) -> dict[str, Predictions]:
    """Return the predictions of all passes, one after another, by the name of the replacement."""
    return {
        name: Predictions(np.concatenate([p.loss for p in own]), np.concatenate([p.divergence for p in own]))
        for name, own in parts.items()
    }
