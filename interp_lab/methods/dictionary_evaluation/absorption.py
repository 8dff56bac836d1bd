"""Feature absorption where parents and children are known: a child's latent speaks for the parent, whose own is silent.

For worlds whose features are known. Torch-free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.methods.dictionary_evaluation.recovery import SHARES

CARRIES = 0.5
"""Share of the parent's value that a single other latent must bring along its direction."""

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]


class Absorption(NamedTuple):
    """Per child `(n_children,)`, over the rows on which it fires."""

    children: Wholes
    rates: NDArray[np.float64]
    """Share of rows on which the parent's latent is silent and another carries the parent; NaN where not measured."""
    missed: NDArray[np.float64]
    """Share of rows on which it is silent and no other single latent carries it."""
    n_rows: Wholes
    """Rows on which the child fires."""


class AbsorptionSum:
    """Takes blocks of codes and true values, and counts by child."""

    def __init__(self, decoder: Floats, directions: Floats, parents: Wholes) -> None:
        self.children = np.flatnonzero(parents >= 0)
        self._parents = parents[self.children]
        self._along = decoder @ directions.T
        """What a code of 1 brings along each true direction `(n_latents, n_features)`."""
        lengths = np.linalg.norm(decoder, axis=1)[:, None] * np.linalg.norm(directions, axis=1)
        cosines = np.divide(self._along, lengths, out=np.zeros_like(self._along), where=lengths > 0)
        self._main = cosines.argmax(axis=0)
        self._known = cosines.max(axis=0) >= SHARES
        self._counts = np.zeros((3, self.children.size), dtype=np.int64)

    def add(self, codes: Floats, features: Floats) -> None:
        """Take some rows: codes `(row, n_latents)` and true values `(row, n_features)`."""
        for place, (child, parent) in enumerate(zip(self.children, self._parents, strict=True)):
            rows = np.flatnonzero(features[:, child] > 0)
            silent = rows[codes[rows, self._main[parent]] == 0]
            brought = (codes[silent] * self._along[:, parent]).max(axis=1, initial=0.0)
            carried = int((brought >= CARRIES * features[silent, parent]).sum())
            self._counts[:, place] += (rows.size, carried, silent.size - carried)

    def figures(self) -> Absorption:
        """Return the shares; not measured for a child that never fires or whose parent no latent stands for.

        Source: after the absorption fraction of SAEBench (Karvonen et al. 2025) and Chanin et al. 2024
        (arXiv 2409.14507), with the true direction and value in the place of a probe's.
        """
        n_rows, carried, missed = self._counts
        measured = (n_rows > 0) & self._known[self._parents]
        shares = [np.where(measured, each / np.maximum(n_rows, 1), np.nan) for each in (carried, missed)]
        return Absorption(self.children, shares[0], shares[1], n_rows)
