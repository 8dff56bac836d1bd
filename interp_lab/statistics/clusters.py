"""`Clusters`: rows laid out group by group, so that sums over what depends on each other are cheap.

Where `Sample` has one labelling of its rows, `Clusters` has none: many targets are tested on the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp_lab.errors import ShapeMismatch
from interp_lab.statistics.arrays import Bools, Floats, Ints

Weights = Floats | Bools
"""One per row; whole weights of 0 and 1 as truth values, which take an eighth of the room."""
_REMEMBERED = 16
"""Weightings whose group sums are kept: blocks ask for the same few again and again."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Group codes `(n_rows,)` in `0..n_groups-1`, ascending; build it with `Clusters.of`."""

    codes: Ints
    names: Ints
    """Group id of every code, ascending `(n_groups,)`."""

    @classmethod
    def of(cls, groups: ArrayLike) -> Clusters:
        """Return the clusters of these group ids, which must already be in ascending order.

        Raises:
            ShapeMismatch: they are not one flat ascending list.
        """
        flat = np.asarray(groups)
        if flat.ndim != 1 or (flat[1:] < flat[:-1]).any():
            raise ShapeMismatch("Group ids must be one flat list in ascending order.")
        begins = np.ones(flat.size, dtype=np.bool_)
        np.not_equal(flat[1:], flat[:-1], out=begins[1:])
        return cls(np.cumsum(begins) - 1, flat[begins].astype(np.intp))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.codes.size)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.names.size)

    @cached_property
    def narrow_codes(self) -> NDArray[np.unsignedinteger[Any]]:
        """The codes in as few bytes as they need: looked up for many entries, they should stay in the cache."""
        return self.codes.astype(np.min_scalar_type(max(0, self.n_groups - 1)))

    @cached_property
    def starts(self) -> Ints:
        """Row at which each group begins."""
        return np.searchsorted(self.codes, np.arange(self.n_groups)).astype(np.intp)

    @cached_property
    def _known_sums(self) -> dict[int, tuple[Weights, Floats]]:
        return {}

    @cached_property
    def sizes(self) -> Floats:
        """Rows of each group `(n_groups,)`."""
        return np.diff(np.append(self.starts, self.n_rows)).astype(np.float64)

    def weight_sums(self, weights: Weights | None) -> Floats:
        """Return the sum of row weights over each group `(n_groups,)`; the last few arrays are remembered."""
        if weights is None:
            return self.sizes
        known = self._known_sums.get(id(weights))
        if known is None or known[0] is not weights:
            while len(self._known_sums) >= _REMEMBERED:
                self._known_sums.pop(next(iter(self._known_sums)))
            known = self._known_sums[id(weights)] = weights, self.sums(weights)
        return known[1]

    def sums(self, values: Floats | Bools) -> Floats:
        """Return sums over each group `(..., n_groups)` of an array whose last axis is the rows."""
        if self.n_groups == 0:
            return np.zeros((*values.shape[:-1], 0))
        return np.add.reduceat(values, self.starts, axis=-1, dtype=np.float64)
