"""What an edit does beyond a control: paired contrasts over prompts, with intervals over prompt groups.

What is taken off an effect is the mean effect of its control on the same prompts, where that goes the same way: edits
of this size do so much whatever they are. A control that goes the other way earns an effect no credit. Effects within
`floor`, the smallest that would matter, count as none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_vector
from interp_lab.statistics.clustered_mean import INTERVAL_METHOD, MeanEstimate, clustered_mean
from interp_lab.statistics.power import detectable_mean

METHOD = (
    f"{INTERVAL_METHOD}, from the effect less what controls (or the smallest effect that matters) do upwards "
    "to the effect less what they do downwards, on the same prompts"
)


@dataclass(frozen=True, slots=True)
class Contrast:
    """An effect, its control and the difference, over the prompts of one part; all in the metric's unit."""

    effect: MeanEstimate
    control: float
    """Mean effect of the kind of control that goes farthest in the effect's direction, with its sign."""
    difference: float
    """Effect less control or floor, whichever is larger; 0, no estimate, where the effect does not exceed them."""
    low: float
    high: float
    """Holds the effect itself, and leaves 0 out only if the effect exceeds control and floor in one direction."""
    p: float
    consistency: float
    """Share of prompts on which the effect has the sign of its mean."""
    detectable: float
    """Mean difference that this many groups, spread as they are, find with power 0.8."""


def contrast(
    effects: ArrayLike, controls: Floats, groups: ArrayLike, *, floor: float = 0.0, level: float = 0.95
) -> Contrast:
    """Return the contrast of effects `(n_prompts,)` with mean effects of controls `(n_kinds, n_prompts)`.

    Raises:
        ShapeMismatch, NonFiniteInput: the numbers are not one finite row per prompt.
        TooFewGroups: there are fewer than two groups.
    """
    codes = np.asarray(groups)
    rows = checked_vector(effects, codes.size, "effect")
    kinds = [checked_vector(kind, codes.size, "control") for kind in controls]
    effect = clustered_mean(rows, codes, level=level)
    above = clustered_mean(rows - _taken_off(kinds, rows.size, floor), codes, level=level)
    below = clustered_mean(rows + _taken_off([-kind for kind in kinds], rows.size, floor), codes, level=level)
    sign, toward = (-1.0, below) if effect.mean < 0 else (1.0, above)
    beyond = max(sign * toward.mean, 0.0)
    return Contrast(
        effect=effect,
        control=sign * max((sign * float(kind.mean()) for kind in kinds), default=0.0),
        difference=sign * beyond,
        low=above.low,
        high=below.high,
        p=toward.p if beyond > 0 else 1.0,
        consistency=float((np.sign(rows) == np.sign(effect.mean)).mean()),
        detectable=detectable_mean(toward.standard_error * float(np.sqrt(toward.n_groups)), toward.n_groups),
    )


def _taken_off(kinds: list[Floats], n_rows: int, floor: float) -> Floats:
    """What is taken off upward effects: the control that rises most, or the floor where none rises above it."""
    largest = max(kinds, key=lambda kind: float(kind.mean()), default=np.zeros(n_rows))
    return largest if float(largest.mean()) > floor else np.full(n_rows, floor)
