"""Latents that say the same: their values go together over prompts, they fire together, or they write the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from interp_lab.statistics.arrays import Floats, checked_matrix
from interp_lab.statistics.coactivation import overlap

ALIKE = 0.8
"""Correlation of values over prompts, of firing, or cosine of decoder rows, from which two latents say the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """A latent and those that say what it says."""

    leader: int
    members: tuple[int, ...]
    """Without the leader, in the order given."""
    correlation: tuple[float, ...]
    """Pearson r of each member's values with the leader's."""
    firing: tuple[float, ...]
    """Phi correlation of each member's firing with the leader's."""
    decoder: tuple[float | None, ...]
    """Cosine of each member's decoder row with the leader's; None where either has none."""


def redundancy(values: ArrayLike, *, decoders: Floats | None = None, alike: float = ALIKE) -> tuple[Alike, ...]:
    """Return the groups of at least two among latents `(n_prompts, n_latents)`, given strongest first.

    The strongest that has no group yet leads one; every later latent that is like it joins. `decoders` is one row per
    latent, NaN where there is none. Two opposite latents say the same, so sizes count, not signs.

    Raises:
        ShapeMismatch, NonFiniteInput: as `checked_matrix`.
    """
    matrix = checked_matrix(values, np.asarray(values).shape[0]).astype(np.float64)
    correlation, firing = _correlation(matrix), _firing(matrix)
    cosine = _cosine(decoders, matrix.shape[1])
    same = (np.abs(correlation) >= alike) | (firing >= alike) | (np.abs(np.nan_to_num(cosine)) >= alike)
    free = np.ones(matrix.shape[1], dtype=np.bool_)
    groups: list[Alike] = []
    for leader in range(matrix.shape[1]):
        if not free[leader]:
            continue
        members = np.flatnonzero(same[leader] & free & (np.arange(free.size) > leader))
        free[leader] = False
        if members.size:
            free[members] = False
            cosines = [None if np.isnan(c) else float(c) for c in cosine[leader, members]]
            groups.append(
                Alike(
                    leader,
                    tuple(int(m) for m in members),
                    tuple(correlation[leader, members].tolist()),
                    tuple(firing[leader, members].tolist()),
                    tuple(cosines),
                )
            )
    return tuple(groups)


def _correlation(matrix: Floats) -> Floats:
    centred = matrix - matrix.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    unit = centred / np.where(length > 0, length, 1.0)
    return np.clip(unit.T @ unit, -1.0, 1.0)


def _firing(matrix: Floats) -> Floats:
    fires = (matrix > 0).astype(np.float64)
    sizes = fires.sum(axis=0)
    return overlap(fires.T @ fires, sizes[:, None], sizes[None, :], n_rows=len(matrix)).phi


def _cosine(decoders: Floats | None, n: int) -> Floats:
    if decoders is None:
        return np.full((n, n), np.nan)
    length = np.linalg.norm(decoders, axis=1, keepdims=True)
    unit = decoders / np.where(length > 0, length, 1.0)
    return np.clip(unit @ unit.T, -1.0, 1.0)
