"""Effects of paths beside random sources: what is left of a mediated effect when any source of its size is taken off.

On a model with random weights every source moves every later unit a little, the same way on every prompt, so that
prompts alone would call everything a path. What a path has to exceed is therefore the spread over sources drawn at
random, scaled to the length of the edit; prompts tell how well the effect itself is known. The spread is that of the
central part of those sources, so that the few that hit a mechanism by accident do not hide one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats
from interp_lab.statistics.clustered_mean import INTERVAL_METHOD, MeanEstimate, clustered_mean
from interp_lab.statistics.distributions import student_tail

METHOD = f"{INTERVAL_METHOD}, of the mediated effect less the size of the controls' effect"
CENTRAL = 0.8
"""Share of random sources, those of smallest effect, from which the spread is estimated."""
_CENTRAL_VARIANCE = 0.4377
"""Of a standard normal deviate cut at its central 80 %."""
_TARGETS_THAT_COUNT = 5
"""Targets of one source that are counted as independent when its reach is estimated."""
_ROUNDS = 5
_ROUNDING = 1e-6
"""Share of a target's scale below which an effect is rounding."""


@dataclass(frozen=True, slots=True)
class Against:
    """A mediated effect against one kind of random source."""

    n: int
    size: float
    """Spread of the controls' effects, scaled to the length of the source's edit."""
    ratio: float
    p: float
    as_large: float
    """Share of controls with at least as large an effect per length."""


@dataclass(frozen=True, slots=True)
class PathEffect:
    """One pair on the prompts of one part."""

    mediated: MeanEstimate
    against: dict[str, Against]
    low: float
    high: float
    """Interval of the mediated effect less the largest of the controls' sizes, in its direction."""
    p: float
    consistency: float


@dataclass(frozen=True, slots=True)
class Controls:
    """Random sources of one kind: mean mediated effects, each in units of what an edit like it does at random."""

    relative: Floats
    """`(n_controls, n_targets)`: effects over the reach of the edit."""
    spread: Floats
    """`(n_targets,)`, of `relative`."""
    floor: Floats
    """`(n_targets,)`: effects that are rounding."""
    reaches: Mapping[int, float]
    """Per source, how far random edits with its own values go; empty where controls have values of their own."""
    per_source: int
    """Random sources with the values of one source."""

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.relative)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of a spread times a reach."""
        pooled = CENTRAL * self.n
        if self.reaches:
            pooled = min(pooled, float(self.per_source * min(self.relative.shape[1], _TARGETS_THAT_COUNT)))
        return max(1.0, pooled)


def controls_of(effects: Floats, sizes: Floats, scale: Floats, owners: Sequence[int] = ()) -> Controls:
    """Return the controls' effects and, per target, their spread: that of the normal curve that fits their centre.

    `effects` `(n_controls, n_targets)` are means over prompts, `sizes` `(n_controls,)` mean lengths of the edits,
    `scale` the typical size of each target. `owners` names the source whose values each control has: edits of one
    length reach farther if their signs agree over tokens, so then size is a reach per source times a spread per target.

    Source: the empirical null of Efron (2004, JASA 99), here by a trimmed variance around zero.
    """
    reach = np.maximum(sizes, 1e-30)
    spread = _central(effects / reach[:, None])
    members = {owner: [i for i, own in enumerate(owners) if own == owner] for owner in dict.fromkeys(owners)}
    for _ in range(_ROUNDS if members else 0):
        for rows in members.values():
            reach[rows] = _central((effects[rows] / spread).reshape(-1, 1))[0]
        spread = _central(effects / reach[:, None])
    reaches = {owner: float(reach[rows[0]]) for owner, rows in members.items()}
    per_source = min(map(len, members.values()), default=0)
    return Controls(effects / reach[:, None], spread, np.maximum(_ROUNDING * scale, 1e-30), reaches, per_source)


def _central(values: Floats) -> Floats:
    """Root mean square of the central part of every column, scaled to be that of a whole normal sample."""
    n = len(values)
    kept = max(1, int(np.ceil(CENTRAL * n)))
    square = np.sort(values**2, axis=0)[:kept].mean(axis=0) / (_CENTRAL_VARIANCE if kept < n else 1.0)
    return np.maximum(np.sqrt(square), 1e-30)


def path_effect(
    mediated: Floats,
    groups: ArrayLike,
    *,
    source: int,
    column: int,
    length: float,
    controls: Mapping[str, Controls],
    least: float = 0.0,
    level: float = 0.95,
) -> PathEffect:
    """Return the effect of one pair: `mediated` per prompt, the source, the target's column, the edit's length.

    `least` is the smallest effect that matters, in the target's unit.

    Raises:
        TooFewGroups: there are fewer than two groups.
    """
    estimate = clustered_mean(mediated, groups, level=level)
    against = {
        kind: _against(estimate.mean, own.reaches.get(source, length), own, column) for kind, own in controls.items()
    }
    floor = max((least, *(one.size for one in against.values())))
    sign = -1.0 if estimate.mean < 0 else 1.0
    p = max((one.p for one in against.values()), default=1.0)
    moved = mediated[mediated != 0]
    return PathEffect(
        mediated=estimate,
        against=against,
        low=estimate.low - sign * floor,
        high=estimate.high - sign * floor,
        p=max(p, estimate.p),
        consistency=float((np.sign(moved) == sign).mean()) if moved.size else 0.0,
    )


def _against(mean: float, reach: float, controls: Controls, column: int) -> Against:
    size = max(float(controls.spread[column]) * reach, float(controls.floor[column]))
    ratio = abs(mean) / size
    as_large = float((np.abs(controls.relative[:, column]) * reach >= abs(mean)).mean())
    return Against(controls.n, size, ratio, min(1.0, 2 * float(student_tail(ratio, controls.degrees))), as_large)


@dataclass(frozen=True, slots=True)
class EstimateError:
    """How far a linear estimate lies from exact effects."""

    n_pairs: int
    correlation: float | None
    relative_error: float | None


def estimate_error(estimated: Floats, exact: Floats) -> EstimateError:
    """Return the error of estimates `(n_pairs,)` against exact effects."""
    length = float(np.linalg.norm(exact))
    varies = exact.size > 2 and min(float(exact.std()), float(estimated.std())) > 0
    return EstimateError(
        exact.size,
        float(np.corrcoef(estimated, exact)[0, 1]) if varies else None,
        float(np.linalg.norm(estimated - exact) / length) if length > 0 else None,
    )
