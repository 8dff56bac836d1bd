"""Latents like a latent: by the angle of their decoder rows, and by being active on the same rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.contracts.features import Coactive, DecoderNeighbour
from interp_lab.statistics.arrays import Floats, Ints
from interp_lab.statistics.coactivation import overlap
from interp_lab.workflows.features.prepared import prepared
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.features.signal import Signal
from interp_lab.workflows.features.weights import MappedDictionary

MAX_ENTRIES = 4_000_000
"""Stored values that are counted for one card; of a latent that is active on more, a seeded draw of its rows."""


class CoactiveLatents(NamedTuple):
    """Neighbours by co-activation, and on how many rows they were counted."""

    latents: tuple[Coactive, ...]
    rows: int


def decoder_neighbours(dictionary: MappedDictionary, latent: int, n: int) -> tuple[DecoderNeighbour, ...]:
    """Return the latents whose decoder rows have the largest cosine with that of a latent."""
    cosines = dictionary.cosines(dictionary.decoder_row(latent))
    cosines[latent] = -np.inf
    return tuple(
        DecoderNeighbour(unit=int(unit), cosine=rounded(float(cosines[unit])))
        for unit in first(-cosines, min(n, cosines.size - 1))
    )


def coactive(signal: Signal, n: int, *, seed: int) -> CoactiveLatents:
    """Return the latents that share the largest part of their active rows with a latent."""
    view, key, latent = signal.view, signal.unit.column, signal.unit.index
    codes = view.store.codes(key)
    rows = _counted(signal, max(1, int(MAX_ENTRIES * view.n_rows / max(1, codes.n_active))), seed)
    both = prepared(view).gather(key).counts(rows)
    factor = signal.active.size / max(1, rows.size)
    found = overlap(both * factor, signal.active.size, codes.counts, n_rows=view.n_rows)
    jaccard = found.jaccard.copy()
    jaccard[latent] = -np.inf
    best = [int(unit) for unit in first(-jaccard, min(n, jaccard.size - 1)) if both[unit]]
    latents = tuple(
        Coactive(
            unit=unit,
            jaccard=rounded(min(1.0, float(found.jaccard[unit]))),
            phi=rounded(float(found.phi[unit])),
            both=int(both[unit]),
        )
        for unit in best
    )
    return CoactiveLatents(latents, rows.size)


def first(keys: Floats, n: int) -> Ints:
    """Return the places of the `n` smallest keys, smallest first, then in order."""
    if 0 < n < keys.size:
        near = np.flatnonzero(keys <= np.partition(keys, n - 1)[n - 1])
        return near[np.argsort(keys[near], kind="stable")][:n]
    return np.argsort(keys, kind="stable")[:n]


def _counted(signal: Signal, most: int, seed: int) -> Ints:
    """Active rows in order, all or a draw."""
    rows = signal.active
    if rows.size > most:
        rows = np.random.default_rng(seed).choice(rows, size=most, replace=False)
    return np.sort(rows)
