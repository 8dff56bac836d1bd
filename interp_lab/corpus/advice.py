"""Which rows would take a shortcut away: where one label has no counterpart of the other in a surface property."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.prompt_audit import Side, WantedRows

BINS = 4
"""Equal shares of all prompts that a property's range is cut into."""
_LEAST_SHORT = 2
"""Rows by which a side must fall short in a bin before more are asked for."""


def rows_to_add(name: str, values: NDArray[np.float64], labels: Sequence[bool]) -> Iterator[WantedRows]:
    """Yield per bin of the property and per side how many rows would give the other side its counterparts."""
    sides = np.asarray(labels)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    if edges.size < 2:
        return
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, edges.size - 2)
    for place in range(edges.size - 1):
        inside = places == place
        n_positive = int(np.count_nonzero(inside & sides))
        missing = n_positive - int(np.count_nonzero(inside & ~sides))
        if abs(missing) < _LEAST_SHORT:
            continue
        side: Side = "negative" if missing > 0 else "positive"
        low, high = float(edges[place]), float(edges[place + 1])
        yield WantedRows(side=side, n=abs(missing), property=name, low=low, high=high)


def rows_to_drop(values: NDArray[np.float64], labels: Sequence[bool]) -> NDArray[np.intp]:
    """Return the rows whose value lies outside the range of the other label, farthest first."""
    sides = np.asarray(labels)
    distance = np.zeros(values.size)
    for side in (True, False):
        other = values[sides != side]
        own = sides == side
        distance[own] = np.maximum(values[own] - other.max(), other.min() - values[own])
    outside = np.flatnonzero(distance > 0)
    return outside[np.argsort(-distance[outside], kind="stable")]
